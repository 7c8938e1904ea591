"""What a stage records, on its way to the tracking store: written down here first, sent later."""

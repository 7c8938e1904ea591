"""From COCO as others write it to splits."""

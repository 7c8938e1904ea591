"""Facts of COCO 2017 that never change."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Checksum:
    """What an archive must be."""

    size_bytes: int
    md5: str


ANNOTATIONS = "annotations_trainval2017.zip"

ARCHIVES = {
    ANNOTATIONS: Checksum(252_907_541, "f4bbac642086de4f52a3fdda2de5fa2c"),
    "train2017.zip": Checksum(19_336_861_798, "cced6f7f71b7629ddf16f17bbcfab6b2"),
    "val2017.zip": Checksum(815_585_330, "442b8da7639aecaf257c1dceb8ba8c80"),
}

_SUPERCATEGORIES = {
    "person": "1 person",
    "vehicle": "2 bicycle, 3 car, 4 motorcycle, 5 airplane, 6 bus, 7 train, 8 truck, 9 boat",
    "outdoor": "10 traffic light, 11 fire hydrant, 13 stop sign, 14 parking meter, 15 bench",
    "animal": "16 bird, 17 cat, 18 dog, 19 horse, 20 sheep, 21 cow, 22 elephant, 23 bear, "
    "24 zebra, 25 giraffe",
    "accessory": "27 backpack, 28 umbrella, 31 handbag, 32 tie, 33 suitcase",
    "sports": "34 frisbee, 35 skis, 36 snowboard, 37 sports ball, 38 kite, 39 baseball bat, "
    "40 baseball glove, 41 skateboard, 42 surfboard, 43 tennis racket",
    "kitchen": "44 bottle, 46 wine glass, 47 cup, 48 fork, 49 knife, 50 spoon, 51 bowl",
    "food": "52 banana, 53 apple, 54 sandwich, 55 orange, 56 broccoli, 57 carrot, 58 hot dog, "
    "59 pizza, 60 donut, 61 cake",
    "furniture": "62 chair, 63 couch, 64 potted plant, 65 bed, 67 dining table, 70 toilet",
    "electronic": "72 tv, 73 laptop, 74 mouse, 75 remote, 76 keyboard, 77 cell phone",
    "appliance": "78 microwave, 79 oven, 80 toaster, 81 sink, 82 refrigerator",
    "indoor": "84 book, 85 clock, 86 vase, 87 scissors, 88 teddy bear, 89 hair drier, "
    "90 toothbrush",
}


def categories() -> list[dict[str, int | str]]:
    """Return the 80 categories as in the official files: ids from 1 to 90, with gaps."""
    return [
        {"supercategory": supercategory, "id": int(number), "name": name}
        for supercategory, listed in _SUPERCATEGORIES.items()
        for number, name in (entry.split(" ", 1) for entry in listed.split(", "))
    ]

"""Real data sets and simulated areas as tasks: chips, what is to be told of them, and places that are kept apart.

The folder that ``--data`` names holds data sets that users get themselves, each in a folder of its kind:

- ``chips``: AID and the buildings damaged by hurricane Harvey, as Parquet of JPEG chips;
- ``segmentation``: the Dubai tiles with masks, and fires of CAL FIRE over Sentinel-2 with burnt areas;
- ``multimodal``: one chip of Sen1Floods11; of SEN12MS-CR, Sentinel-2 chips in UTM and pairs of Sentinel-1 and 2;
- ``scenes`` and ``labels``: an eo-learn patch of Slovenia with land use, and the coast of North Carolina with polygons;
- ``series``: dates of one place, of SEN12MS-CR-TS.

A data set that is not there is left out, and the benchmark says so.
"""

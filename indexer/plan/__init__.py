"""Plans: which chips of an area are encoded from which scenes of a catalogue, decided before a pixel is read."""

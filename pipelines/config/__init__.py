"""The sections of a recipe, a file each: the parameter models of the rooms."""

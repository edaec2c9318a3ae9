"""The commands of `headwater`, a file each."""

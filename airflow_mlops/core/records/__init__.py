"""What flows through the loop, a file each: frozen, with a JSON form and an integer format version."""

"""voicesvc: licensed actors' voices over HTTP."""

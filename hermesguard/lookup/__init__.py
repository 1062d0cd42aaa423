"""What commands and the page read: the store without its lock, the live files beside it, and the guards of this machine."""

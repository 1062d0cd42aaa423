"""What makes a start cheap: first copies written together, and the notes of the guard that ended."""

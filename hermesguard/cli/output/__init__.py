"""How answers look: terminal, tables, transcripts, JSON."""

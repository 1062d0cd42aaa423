"""Loss or intent; pure."""

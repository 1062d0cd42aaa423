"""All that is known of hermes-webui's files."""

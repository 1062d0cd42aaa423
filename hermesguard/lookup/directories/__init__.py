"""What commands read of several sessions directories at once."""

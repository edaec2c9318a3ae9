"""What a document is, and what can be known of one. Arrow in, Arrow out."""

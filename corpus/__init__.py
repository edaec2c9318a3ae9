"""What a document is, and what can be known of one. Arrow in, Arrow out."""

from corpus.kernels.cache import keep_kernels_by_content

keep_kernels_by_content()

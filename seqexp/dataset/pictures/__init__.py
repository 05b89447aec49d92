"""Pictures with texts: captions of them, and questions on them."""

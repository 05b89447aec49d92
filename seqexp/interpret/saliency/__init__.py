"""Which letters of a sequence decide a prediction."""

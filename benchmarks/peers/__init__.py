"""What people would pick instead, written as its competent users would: each is run beside the platform."""

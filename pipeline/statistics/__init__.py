"""What a cache or a manifest holds, in numbers."""

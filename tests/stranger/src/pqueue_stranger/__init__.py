"""A store and a serializer for pqueue, as somebody else would write them."""

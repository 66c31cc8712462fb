"""The staff: who they are (sealed), what their role is, where they belong, and who has read it."""

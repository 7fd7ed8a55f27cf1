"""What people and judges read: conversations, transcripts, the waterfall."""

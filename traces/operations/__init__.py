"""Operations on traces, sessions and agents."""

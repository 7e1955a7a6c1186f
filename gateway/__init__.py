"""Who is calling, what they asked, and how the answer looks on the wire."""

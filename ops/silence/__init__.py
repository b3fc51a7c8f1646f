"""Laboratories that are silent, or send too little, held against their own past."""

"""Traffic that is out to fool the judge, and judges that are out to fool us."""

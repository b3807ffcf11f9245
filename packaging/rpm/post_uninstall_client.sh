if [ "$1" -eq 0 ]; then
    # What makes this package cannot give it folders, so these are nobody's.
    find /usr/share/doc/fusionctl /usr/share/licenses/fusionctl -type d -empty -delete 2>/dev/null || :
fi

"""report.html: what a sweep has come to, on one page that needs no network: data says what it shows, page makes it."""

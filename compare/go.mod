module opsconductor.dev/compare

go 1.26

module weirs/versus

go 1.22

module weirs/versus-rill

go 1.23

require github.com/destel/rill v0.8.1

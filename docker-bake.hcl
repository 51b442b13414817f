# SPDX-License-Identifier: MIT
variable "VERSION" {
  default = "dev"
}

target "default" {
  context = "."
  tags = ["kkartifact:${VERSION}"]
}

//go:build tools

// Package tools names the program to build, so that go.mod keeps everything it needs.
package tools

import _ "github.com/hashicorp/consul"

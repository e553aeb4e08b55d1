//go:build tools

// Package tools pins the OPA that the tests run against.
package tools

import _ "github.com/open-policy-agent/opa"

package care

// trees are the names that CIS2's addresses give to ways of signing in (seed 0,
// step 5), and what they ask for.
var trees = map[string]ACR{
	"AAL2AuthDecisionTree": AAL2OrAAL3Any,
	"AAL3AuthDecisionTree": AAL3Any,
}

// Tree returns what an authIndexValue of a CIS2 address asks for.
func Tree(name string) (ACR, bool) {
	acr, ok := trees[name]
	return acr, ok
}

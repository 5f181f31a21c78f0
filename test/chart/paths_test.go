package chart

// The folders that are tested.
const (
	chartFolder     = "../../deploy/helm/folkmoot"
	scenariosFolder = "../../deploy/scenarios"
)

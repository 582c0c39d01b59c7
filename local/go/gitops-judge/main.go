// Command gitops-judge says what GitOps tools make of objects: a test reads it, nobody installs it.
//
//	gitops-judge health FILE.lua   health by an Argo CD health script
//	gitops-judge kstatus           status by sigs.k8s.io/cli-utils (kstatus), which Flux and others use
//	gitops-judge version
//
// Standard input has one object as JSON a line; standard output has one line {"status": ..., "message": ...} for each, or
// {"error": ...}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

const version = "1.0.0"

type verdict struct {
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	Error   string `json:"error,omitempty"`
}

type judge func(object *unstructured.Unstructured) (verdict, error)

func byKstatus(object *unstructured.Unstructured) (verdict, error) {
	result, err := status.Compute(object)
	if err != nil {
		return verdict{}, err
	}
	return verdict{Status: result.Status.String(), Message: result.Message}, nil
}

// eachLine judges the objects of in, one a line.
func eachLine(in io.Reader, out io.Writer, decide judge) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	encoder := json.NewEncoder(out)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		found := verdict{}
		// Whole numbers become int64, as in the clients of the tools.
		err := object.UnmarshalJSON(lines.Bytes())
		if err == nil {
			found, err = decide(object)
		}
		if err != nil {
			found = verdict{Error: err.Error()}
		}
		if err := encoder.Encode(found); err != nil {
			return err
		}
	}
	return lines.Err()
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "version":
		fmt.Println("gitops-judge", version)
		return nil
	case len(arguments) == 1 && arguments[0] == "kstatus":
		return eachLine(os.Stdin, os.Stdout, byKstatus)
	case len(arguments) == 2 && arguments[0] == "health":
		script, err := os.ReadFile(arguments[1])
		if err != nil {
			return err
		}
		return eachLine(os.Stdin, os.Stdout, byHealthScript(string(script)))
	default:
		return fmt.Errorf("usage: gitops-judge health FILE.lua | kstatus | version")
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops-judge:", err)
		os.Exit(1)
	}
}

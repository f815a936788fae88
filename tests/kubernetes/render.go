// Renders a Helm chart as `helm template` does: Go's text/template with the functions of sprig and those of Helm's engine that charts use.
//
//	go run render.go CHART RELEASE NAMESPACE < values.yaml
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(path string) map[string]interface{} {
	text, err := os.ReadFile(path)
	check(err)
	return parse(text)
}

func parse(text []byte) map[string]interface{} {
	values := map[string]interface{}{}
	check(yaml.Unmarshal(text, &values))
	return values
}

// merge lays over on base: maps are merged, anything else is replaced, and null takes a key away.
func merge(base, over map[string]interface{}) {
	for key, value := range over {
		if value == nil {
			delete(base, key)
			continue
		}
		inner, isMap := value.(map[string]interface{})
		own, hasMap := base[key].(map[string]interface{})
		if isMap && hasMap {
			merge(own, inner)
		} else {
			base[key] = value
		}
	}
}

func toYaml(value interface{}) string {
	text, err := yaml.Marshal(value)
	check(err)
	return strings.TrimSuffix(string(text), "\n")
}

func main() {
	chart, release, namespace := os.Args[1], os.Args[2], os.Args[3]
	described := read(filepath.Join(chart, "Chart.yaml"))
	values := read(filepath.Join(chart, "values.yaml"))
	given, err := io.ReadAll(os.Stdin)
	check(err)
	merge(values, parse(given))

	// Helm writes Chart.yaml's keys with a capital.
	about := map[string]interface{}{}
	for key, value := range described {
		about[strings.ToUpper(key[:1])+key[1:]] = value
	}
	context := map[string]interface{}{
		"Values":  values,
		"Chart":   about,
		"Release": map[string]interface{}{"Name": release, "Namespace": namespace, "Service": "Helm"},
	}

	root := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["toYaml"] = toYaml
	functions["include"] = func(name string, data interface{}) (string, error) {
		var text strings.Builder
		err := root.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	functions["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, fmt.Errorf("%s", message)
		}
		return value, nil
	}
	root.Funcs(functions)

	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	check(err)
	sort.Strings(files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(err)
		_, err = root.New(filepath.Base(file)).Parse(string(text))
		check(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var text strings.Builder
		check(root.ExecuteTemplate(&text, name, context))
		rendered := strings.ReplaceAll(text.String(), "<no value>", "")
		if name == "NOTES.txt" {
			fmt.Fprintln(os.Stderr, rendered)
		} else if strings.TrimSpace(rendered) != "" {
			fmt.Printf("---\n%s\n", rendered)
		}
	}
}

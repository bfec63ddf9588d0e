// A model server that is not ours: the few paths of the Open Inference Protocol v2 over REST
// that mcdeploy promises to need, and nothing else of it. Its answer is the length of the
// model's file in bytes.
package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
)

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func tensor(name, datatype string, shape ...int) map[string]any {
	return map[string]any{"name": name, "datatype": datatype, "shape": shape}
}

// length of the model's file, of the only version where none is asked for; false where there
// is none.
func length(r *http.Request) (int64, bool) {
	version := r.PathValue("version")
	if version == "" {
		version = "*"
	}
	files, _ := filepath.Glob("/mnt/models/" + r.PathValue("model") + "/" + version + "/model.onnx")
	if len(files) != 1 {
		return 0, false
	}
	found, err := os.Stat(files[0])
	if err != nil {
		return 0, false
	}
	return found.Size(), true
}

func infer(w http.ResponseWriter, r *http.Request) {
	bytes, there := length(r)
	if !there {
		http.NotFound(w, r)
		return
	}
	output := tensor("bytes", "INT64", 1)
	output["data"] = []int64{bytes}
	answer(w, map[string]any{"model_name": r.PathValue("model"), "outputs": []any{output}})
}

func main() {
	// Kubernetes asks whether it lives, gateways whether it is ready.
	http.HandleFunc("GET /v2/health/live", func(w http.ResponseWriter, r *http.Request) {})
	http.HandleFunc("GET /v2/health/ready", func(w http.ResponseWriter, r *http.Request) {})
	version := "/v2/models/{model}/versions/{version}"
	http.HandleFunc("GET "+version+"/ready", func(w http.ResponseWriter, r *http.Request) {
		if _, there := length(r); !there {
			http.NotFound(w, r)
		}
	})
	http.HandleFunc("GET "+version, func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{
			"name":    r.PathValue("model"),
			"inputs":  []any{tensor("pixels", "FP32", -1, 64)},
			"outputs": []any{tensor("bytes", "INT64", -1)},
		})
	})
	http.HandleFunc("POST "+version+"/infer", infer)
	http.HandleFunc("POST /v2/models/{model}/infer", infer)
	if err := http.ListenAndServe(":8080", nil); err != nil {
		panic(err)
	}
}

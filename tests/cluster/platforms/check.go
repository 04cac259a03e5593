// Checks documents on standard input as the admission webhooks of Katib and Knative do: their own
// types, defaults and validation. The pod of an InferenceService is checked as a Knative revision,
// which KServe makes of it. Prints the command of an Experiment's first trial, a word on each line.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	katibcommon "github.com/kubeflow/katib/pkg/apis/controller/common/v1beta1"
	experiments "github.com/kubeflow/katib/pkg/apis/controller/experiments/v1beta1"
	"github.com/kubeflow/katib/pkg/controller.v1beta1/consts"
	"github.com/kubeflow/katib/pkg/controller.v1beta1/experiment/manifest"
	"github.com/kubeflow/katib/pkg/webhook/v1beta1/experiment/validator"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"knative.dev/pkg/apis"
	serving "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func main() {
	reader := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		must(err)
		content, err := yaml.ToJSON(document)
		must(err)
		var head metav1.TypeMeta
		must(json.Unmarshal(content, &head))
		switch head.APIVersion + "/" + head.Kind {
		case "kubeflow.org/v1beta1/Experiment":
			experiment(content)
		case "serving.knative.dev/v1/Service":
			service(content)
		case "serving.kserve.io/v1beta1/InferenceService":
			inference(content)
		default:
			fmt.Fprintln(os.Stderr, "not looked at:", head.Kind)
		}
	}
}

func experiment(content []byte) {
	var one experiments.Experiment
	strictly(content, &one)
	one.SetDefault()
	config, err := os.ReadFile(os.Args[1])
	must(err)
	client := fake.NewClientBuilder().WithObjects(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: consts.KatibConfigMapName, Namespace: consts.DefaultKatibNamespace},
		Data:       map[string]string{consts.LabelKatibConfigTag: string(config)},
	}).Build()
	generator := manifest.New(client)
	if faults := validator.New(generator).ValidateExperiment(&one, nil); len(faults) > 0 {
		must(faults.ToAggregate())
	}
	job, err := generator.GetRunSpecWithHyperParameters(&one, "trial", "default", first(&one))
	must(err)
	containers, _, err := unstructured.NestedSlice(job.Object, "spec", "template", "spec", "containers")
	must(err)
	words, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	must(err)
	for _, word := range words {
		fmt.Println(word)
	}
}

// first is the lowest or first value of each parameter.
func first(one *experiments.Experiment) []katibcommon.ParameterAssignment {
	var found []katibcommon.ParameterAssignment
	for _, parameter := range one.Spec.Parameters {
		value := parameter.FeasibleSpace.Min
		if list := parameter.FeasibleSpace.List; len(list) > 0 {
			value = list[0]
		}
		found = append(found, katibcommon.ParameterAssignment{Name: parameter.Name, Value: value})
	}
	return found
}

func service(content []byte) {
	var one serving.Service
	strictly(content, &one)
	validated(&one)
}

func inference(content []byte) {
	var one struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     struct {
			Predictor corev1.PodSpec `json:"predictor"`
		} `json:"spec"`
	}
	must(json.Unmarshal(content, &one))
	revision := serving.Service{ObjectMeta: metav1.ObjectMeta{Name: one.Metadata.Name}}
	revision.Spec.Template.Spec.PodSpec = one.Spec.Predictor
	validated(&revision)
}

func validated(one *serving.Service) {
	ctx := apis.WithinCreate(context.Background())
	one.SetDefaults(ctx)
	if fault := one.Validate(ctx); fault != nil {
		must(fault)
	}
}

func strictly(content []byte, into any) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	must(decoder.Decode(into))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

package headrace

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

func TestGoldenVectors(t *testing.T) {
	raw, err := os.ReadFile("../../../topics/golden_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		KeyHex     string `json:"key_hex"`
		Partitions int
		Partition  int
	}
	if err := json.Unmarshal(raw, &vectors); err != nil || len(vectors) == 0 {
		t.Fatal("no vectors", err)
	}
	for _, vector := range vectors {
		key, _ := hex.DecodeString(vector.KeyHex)
		if got := Partition(key, vector.Partitions); got != vector.Partition {
			t.Errorf("%s of %d: %d, not %d", vector.KeyHex, vector.Partitions, got, vector.Partition)
		}
	}
}

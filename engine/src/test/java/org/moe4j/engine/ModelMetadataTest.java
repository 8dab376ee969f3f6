package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.gguf.GgufWriter;

/** Files whose metadata and tensors do not belong together end in one line that says so. */
class ModelMetadataTest {
  private static final EngineOptions ONE = EngineOptions.DEFAULT.withThreads(1);

  @TempDir Path folder;

  /** A model of the resources with other metadata or tensors. */
  private Path changed(
      String name, Map<String, Object> metadata, UnaryOperator<List<GgufWriter.Item>> tensors)
      throws Exception {
    try (GgufFile file = GgufFile.open(TinyModels.path(name))) {
      Map<String, Object> values = new LinkedHashMap<>(file.metadata().values());
      values.putAll(metadata);
      List<GgufWriter.Item> items = new ArrayList<>();
      for (GgufTensor t : file.tensors()) {
        items.add(item(t.name(), t, t.shape()));
      }
      Path to = folder.resolve("changed.gguf");
      GgufWriter.write(to, values, tensors.apply(items), done -> {});
      return to;
    }
  }

  private static GgufWriter.Item item(String name, GgufTensor t, long[] shape) {
    float[] all = t.floats();
    int columns = Math.toIntExact(shape[0]);
    return new GgufWriter.Item(
        name,
        t.type(),
        shape,
        (row, into) -> System.arraycopy(all, (int) row * columns, into, 0, columns));
  }

  private Path without(String name, String tensor) throws Exception {
    return changed(
        name, Map.of(), items -> items.stream().filter(i -> !i.name().equals(tensor)).toList());
  }

  @ParameterizedTest
  @CsvSource({
    "llama-f16, rope.scaling.type, dynamic, 'rotary scaling dynamic is not supported; known: none'",
    "deepseek2-v3-f16, expert_gating_func, 7, 'expert_gating_func is 7; known: 1 softmax'",
    "deepseek2-v3-f16, expert_group_count, 3, '8 experts in 3 groups, of which 2 are used, cannot'",
    "deepseek2-v3-f16, attention.kv_lora_rank, 32, 'should be [64,48] by the metadata'",
    "glm4moe-f16, expert_used_count, 9, 'expert_used_count is 9, expected 1 to 8'",
    "glm4moe-f16, rope.dimension_count, 15, 'a head of 32 cannot be rotated in 15'",
    "gpt-oss-f16, attention.head_count_kv, 3, '4 heads cannot share 3 of keys'",
    "gpt-oss-f16, attention.sliding_window, 0, 'sliding_window is 0, expected 1'",
    "granitemoe-f16, logit_scale, 0, 'logit_scale is 0.0, expected more than 0'"
  })
  void metadataThatCannotBeIsNamed(String model, String key, String value, String message)
      throws Exception {
    String arch = model.replaceAll("-[^-]*$", "").replaceAll("-v3", "");
    Object other = value.matches("[0-9]+") ? (Object) Long.valueOf(value) : value;
    Path file = changed(model, Map.of(arch + "." + key, other), items -> items);
    assertThatThrownBy(() -> Engine.open(file, ONE))
        .isInstanceOf(EngineException.class)
        .hasMessageStartingWith(file.toString())
        .hasMessageContaining(message)
        .message()
        .doesNotContain("\n");
  }

  @ParameterizedTest
  @CsvSource({
    "llama-f16, blk.1.attn_k.weight",
    "llama-f16, blk.0.ffn_norm.weight",
    "qwen2moe-f16, blk.0.ffn_gate_inp.weight",
    "phimoe-long-f16, output_norm.weight",
    "gpt-oss-f16, blk.2.post_attention_norm.weight",
    "glm4moe-f16, blk.1.ffn_up_exps.weight",
    "granitemoe-f16, blk.0.ffn_down_shexp.weight",
    "deepseek2-v3-f16, blk.1.attn_v_b.weight",
    "deepseek2-old-f16, blk.0.attn_kv_b.weight",
    "deepseek2-lite-f16, blk.0.ffn_down.weight"
  })
  void missingTensorIsNamed(String model, String tensor) throws Exception {
    Path file = without(model, tensor);
    assertThatThrownBy(() -> Engine.open(file, ONE))
        .isInstanceOf(EngineException.class)
        .hasMessageStartingWith(file.toString())
        .hasMessageContaining("there is no tensor " + tensor);
  }

  @Test
  void transposedTensorIsNamedWithTheShapeThatItShouldHave() throws Exception {
    Path file =
        changed(
            "deepseek2-v3-f16",
            Map.of(),
            items ->
                items.stream()
                    .map(
                        i ->
                            i.name().equals("blk.0.attn_kv_a_mqa.weight")
                                ? new GgufWriter.Item(
                                    i.name(), i.type(), new long[] {32, 128}, (row, into) -> {})
                                : i)
                    .toList());
    assertThatThrownBy(() -> Engine.open(file, ONE))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("tensor blk.0.attn_kv_a_mqa.weight f16[32,128] should be [64,64]");
  }

  /** Whatever number or text stands for a size: it runs, or one line says why not. */
  @ParameterizedTest
  @ValueSource(strings = {"deepseek2-v3-q4_0", "gpt-oss-f16"})
  void noMetadataCrashesTheEngine(String model) throws Exception {
    List<String> keys;
    try (GgufFile file = GgufFile.open(TinyModels.path(model))) {
      String arch = file.metadata().text("general.architecture").orElseThrow();
      keys =
          file.metadata().values().entrySet().stream()
              .filter(e -> e.getKey().startsWith(arch) && e.getValue() instanceof Number)
              .map(Map.Entry::getKey)
              .toList();
    }
    assertThat(keys).hasSizeGreaterThan(15);
    for (String key : keys) {
      for (Object value : new Object[] {0L, 1L, 63L, 65536L, 1L << 31, 1L << 40, "many", -1.0}) {
        Path file = changed(model, Map.of(key, value), items -> items);
        try (Engine engine = Engine.open(file, ONE);
            Sequence sequence = engine.sequence()) {
          assertThat(engine.prompt(sequence, new int[] {1, 2, 3})).hasSize(288);
        } catch (EngineException e) {
          assertThat(e.getMessage()).doesNotContain("\n").contains(".gguf");
        } catch (RuntimeException e) {
          fail(key + " = " + value, e);
        }
      }
    }
  }
}

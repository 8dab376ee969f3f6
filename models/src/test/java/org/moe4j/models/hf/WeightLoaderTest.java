package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.moe4j.Init;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Fp8Blocks;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Mxfp4Blocks;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.SafetensorsWriter.Item;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.StoredTensors;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.TorchFile;

/** Disk tensors of other shapes and orders than the parameters they fill. */
class WeightLoaderTest {
  private static final Role EXPERTS = new Role.RoutedExperts(0, 3);

  @TempDir private Path dir;
  private final RandomSource random = new RandomSource(5);
  private ParameterStore store;
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
    store = ParameterStore.uninitialised(Device.CPU, DType.F32);
  }

  @AfterEach
  void close() {
    store.close();
    scope.close();
  }

  private Parameter parameter(String name, long... shape) {
    return store.create(name, EXPERTS, Init.zeros(), shape);
  }

  private void write(Item... items) {
    SafetensorsWriter.writeFile(
        dir.resolve(Safetensors.SINGLE_FILE), List.of(items), Map.of("format", "pt"));
  }

  private void load(WeightMap map) {
    map.requireCovers(store.all());
    try (StoredTensors in = HfCheckpoint.weights(dir)) {
      WeightLoader.load(in, map, name -> false);
    }
  }

  private static void same(Tensor read, Tensor expected) {
    assertThat(read.shape()).isEqualTo(expected.shape());
    assertThat(read.toDoubles()).isEqualTo(expected.toDoubles());
  }

  @Test
  void rowsOfOneDiskTensorAreSeveralParameters() {
    Tensor qkv = random.normal(8 + 4 + 4, 8);
    write(Item.of("Wqkv.weight", qkv, DType.F64));
    Parameter q = parameter("q", 8, 8);
    Parameter k = parameter("k", 4, 8);
    Parameter v = parameter("v", 4, 8);
    WeightMap map = new WeightMap();
    map.tensor("Wqkv.weight", 16, 8).rows(8, q).rows(4, k).rows(4, v);
    load(map);
    same(q.tensor(), qkv.narrow(0, 0, 8));
    same(k.tensor(), qkv.narrow(0, 8, 4));
    same(v.tensor(), qkv.narrow(0, 12, 4));
    same(map.tensors().get("Wqkv.weight").tensor(), qkv);
  }

  /** DBRX: the experts' matrices one below the other, the down projection transposed. */
  @Test
  void expertsBelowEachOther() {
    long e = 3;
    long h = 5;
    long d = 8;
    Tensor w1 = random.normal(e * h, d);
    Tensor v1 = random.normal(e * h, d);
    Tensor w2 = random.normal(e * h, d);
    write(Item.of("w1", w1), Item.of("v1", v1), Item.of("w2", w2));
    Parameter in = parameter("w_in", e, 2 * h, d);
    Parameter out = parameter("w_out", e, d, h);
    WeightMap map = new WeightMap();
    map.tensor("w1", e * h, d).all(in, w -> w.narrow(1, 0, h));
    map.tensor("v1", e * h, d).all(in, w -> w.narrow(1, h, h));
    map.tensor("w2", e * h, d).all(out, w -> w.transpose(1, 2));
    load(map);
    same(in.tensor().select(0, 2).narrow(0, 0, h), w1.narrow(0, 2 * h, h));
    same(in.tensor().select(0, 1).narrow(0, h, h), v1.narrow(0, h, h));
    same(out.tensor().select(0, 2), w2.narrow(0, 2 * h, h).t());
    same(map.tensors().get("w2").tensor(), w2);
    same(map.tensors().get("v1").tensor(), v1);
  }

  private static WeightMap interleaved(Parameter in, Parameter bias, long e, long h, long d) {
    WeightMap map = new WeightMap();
    map.tensor("gate_up_proj", e, d, 2 * h).all(in, w -> w.view(e, 2, h, d).permute(0, 3, 2, 1));
    map.tensor("gate_up_proj_bias", e, 2 * h).all(bias, b -> b.view(e, 2, h).transpose(1, 2));
    return map;
  }

  /** gpt-oss: input rows, columns gate and up in turn. */
  @Test
  void columnsInTurn() {
    long e = 3;
    long h = 5;
    long d = 8;
    Tensor both = random.normal(e, d, 2 * h);
    Tensor biases = random.normal(e, 2 * h);
    write(Item.of("gate_up_proj", both), Item.of("gate_up_proj_bias", biases));
    Parameter in = parameter("w_in", e, 2 * h, d);
    Parameter bias = parameter("b_in", e, 2 * h);
    WeightMap map = interleaved(in, bias, e, h, d);
    load(map);
    for (int j = 0; j < h; j++) {
      same(in.tensor().select(1, j), both.select(2, 2L * j));
      same(in.tensor().select(1, h + j), both.select(2, 2L * j + 1));
      same(bias.tensor().select(1, h + j), biases.select(1, 2L * j + 1));
    }
    same(map.tensors().get("gate_up_proj").tensor(), both);
  }

  /** The codes of gpt-oss stand for the same layout, transposed. */
  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "BF16", "F16"})
  void mxfp4StandsForTheTransposedMatrices(DType dtype) throws Exception {
    Path folder = HfCheckpointTest.resource("families/gpt_oss-mxfp4");
    String name = "model.layers.0.mlp.experts.gate_up_proj";
    String other = "model.layers.0.mlp.experts.down_proj";
    ParameterStore typed = ParameterStore.uninitialised(Device.CPU, dtype);
    try (StoredTensors in = HfCheckpoint.weights(folder);
        Safetensors file = Safetensors.open(folder)) {
      Tensor codes = Mxfp4Blocks.open(file, name).load(DType.F32);
      long e = codes.size(0);
      long h = codes.size(1) / 2;
      long d = codes.size(2);
      Parameter wIn = typed.create("w_in", EXPERTS, Init.zeros(), e, 2 * h, d);
      Parameter wOut = typed.create("w_out", EXPERTS, Init.zeros(), e, d, h);
      WeightMap map = new WeightMap();
      map.tensor(name, e, d, 2 * h).all(wIn, w -> w.view(e, 2, h, d).permute(0, 3, 2, 1));
      map.tensor(other, e, h, d).all(wOut, w -> w.transpose(1, 2));
      List<Long> told = new ArrayList<>();
      WeightLoader.load(
          in,
          map,
          n -> n.endsWith("bias") || !(n.startsWith(name) || n.startsWith(other)),
          Quantisation.DEFAULT,
          (done, total) -> {
            told.add(done);
            told.add(total);
          });
      for (int j = 0; j < h; j++) {
        same(wIn.tensor().select(1, j), codes.select(1, 2L * j).to(dtype));
        same(wIn.tensor().select(1, h + j), codes.select(1, 2L * j + 1).to(dtype));
      }
      same(wOut.tensor(), Mxfp4Blocks.open(file, other).load(DType.F32).to(dtype));
      long bytes =
          List.of(name, other).stream()
              .flatMap(n -> List.of(n + "_blocks", n + "_scales").stream())
              .mapToLong(n -> in.describe(n).bytes())
              .sum();
      assertThat(told).endsWith(bytes, bytes);
    } finally {
      typed.close();
    }
  }

  @Test
  void aMapOfAnotherShapeIsRefusedForCodesToo() throws Exception {
    String name = "model.layers.0.mlp.experts.down_proj";
    try (StoredTensors in =
        HfCheckpoint.weights(HfCheckpointTest.resource("families/gpt_oss-mxfp4"))) {
      List<Long> codes = in.describe(name + "_blocks").shape();
      WeightMap map = new WeightMap();
      map.whole(name, parameter("w", codes.get(0), codes.get(1), codes.get(2) * 32));
      assertThatThrownBy(() -> WeightLoader.load(in, map, n -> true))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("tensor " + name + " is [")
          .hasMessageContaining("the configuration expects [");
    }
  }

  /** 160 columns and 136 rows: blocks that are cut off at both edges. */
  @Test
  void fp8BlocksFillPartsOfParameters() throws Exception {
    String name = "model.layers.0.self_attn.kv_a_proj_with_mqa.weight";
    Path folder = HfCheckpointTest.resource("families/deepseek_v3-fp8");
    try (Safetensors in = Safetensors.open(folder);
        ParameterStore narrow = ParameterStore.uninitialised(Device.CPU, DType.BF16)) {
      Tensor weight = Fp8Blocks.open(in, name, 128, 128).load(DType.F32);
      long rows = weight.size(0);
      long columns = weight.size(1);
      Parameter a = parameter("a", 100, columns);
      Parameter b = narrow.create("b", EXPERTS, Init.zeros(), columns, rows - 100);
      WeightMap map = new WeightMap();
      map.tensor(name, rows, columns).rows(100, a).rows(rows - 100, b, Tensor::t);
      WeightLoader.load(
          in,
          map,
          n -> !n.startsWith(name),
          Quantisation.of(ConfigFile.read(folder)),
          (d, t) -> {});
      same(a.tensor(), weight.narrow(0, 0, 100));
      same(b.tensor(), weight.narrow(0, 100, rows - 100).t().to(DType.BF16));
    }
  }

  /** Transposed strides and slices of shared storages, over several files. */
  @Test
  void shardsOfTorchAreReadTheSame() throws Exception {
    try (StoredTensors in =
        HfCheckpoint.weights(HfCheckpointTest.resource("families/switch_transformers-shards"))) {
      assertThat(in).isInstanceOf(TorchFile.class);
      WeightMap map = new WeightMap();
      int strided = 0;
      for (String name : in.names()) {
        long[] shape = in.describe(name).sizes();
        strided += in.isContiguous(name) ? 0 : 1;
        if (shape.length == 2) {
          Parameter turned = parameter(name, shape[1], shape[0]);
          map.tensor(name, shape).all(turned, Tensor::t);
        } else {
          map.whole(name, parameter(name, shape));
        }
      }
      assertThat(strided).isPositive();
      WeightLoader.load(in, map, n -> false);
      for (DiskTensor tensor : map.list()) {
        same(tensor.tensor(), in.load(tensor.name()));
      }
    }
  }

  @Test
  void parametersThatTheMapForgetsOrFillsTwiceAreNamed() {
    Parameter a = parameter("a", 2, 3);
    Parameter b = parameter("b", 2, 3);
    store.state("s", 0, Tensor.of(new float[] {1}));
    WeightMap map = new WeightMap();
    map.part("first", a, w -> w.select(0, 0));
    assertThatThrownBy(() -> map.requireCovers(store.all()))
        .isInstanceOf(MoeException.class)
        .hasMessage(
            "the checkpoint's layout does not hold 2 parameters: a (3 of 6 elements), b (0 of 6"
                + " elements)");
    map.whole("second", a);
    map.whole("b", b);
    assertThatThrownBy(() -> map.requireCovers(store.all()))
        .hasMessageContaining("1 parameter: a (9 of 6 elements)");
  }

  @Test
  void mapsThatContradictThemselves() {
    Parameter a = parameter("a", 2, 3);
    WeightMap map = new WeightMap();
    assertThatThrownBy(() -> new WeightMap().tensor("t", 3, 3).rows(3, a))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("3 rows of [3, 3] are no F32[2, 3]");
    map.tensor("u", 4, 3).rows(2, a);
    assertThatThrownBy(() -> map.requireCovers(store.all()))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("6 of 12 elements");
    assertThatThrownBy(() -> map.whole("u", a)).isInstanceOf(IllegalStateException.class);
  }
}

package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NativeMemory;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Stores that do not initialise. */
class ParameterStoreTest {
  private static final Init FORBIDDEN =
      (random, shape) -> {
        throw new AssertionError("initialised");
      };

  @Test
  void anUninitialisedStoreLeavesParametersAloneAndKeepsState() {
    try (Scope scope = Scope.open();
        ParameterStore store = ParameterStore.uninitialised(Device.CPU, DType.BF16)) {
      ParameterStore part = store.under("layers.0");
      Parameter weight = part.create("weight", Role.NON_EXPERT, FORBIDDEN, 3, 4);
      Parameter shared = part.shared("common", Role.NON_EXPERT, FORBIDDEN, 2);
      Parameter state = part.state("table", 0, Tensor.of(new long[] {7, 8}));
      Parameter sharedState = part.sharedState("prior", 0, Tensor.of(new float[] {0.5f}));
      assertThat(weight.tensor().toString()).isEqualTo("BF16[3, 4]");
      assertThat(weight.tensor().requiresGrad()).isTrue();
      assertThat(shared.name()).isEqualTo("common");
      assertThat(state.tensor().toLongs()).containsExactly(7, 8);
      assertThat(sharedState.tensor().toFloats()).containsExactly(0.5f);
    }
  }

  /** 8 TB of weights: more than any machine that runs this test has. */
  @Test
  void aStoreOfShapesTakesNoMemory() {
    long before = NativeMemory.resident();
    try (Scope scope = Scope.open();
        ParameterStore store = ParameterStore.shapes(DType.BF16)) {
      MoeConfig config = MoeConfig.builder(16384, 1 << 20, 64, 8).router("loss-free").build();
      MoeLayer layer = new MoeLayer(config, store, 3);
      FeedForwardExperts experts = (FeedForwardExperts) layer.experts();
      Tensor gate = experts.in().tensor().detach().select(0, 5).narrow(0, 0, 1 << 20);
      assertThat(gate.toString()).isEqualTo("BF16[1048576, 16384] on meta");
      assertThat(gate.device()).isEqualTo(Device.META);
      assertThat(store.count(p -> true)).isEqualTo(config.parameters());
      assertThat(NativeMemory.resident() - before).isLessThan(64L << 20);
    }
  }
}

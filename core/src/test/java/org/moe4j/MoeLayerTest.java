package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

class MoeLayerTest {
  @Test
  void forwardAndBackwardReachEveryParameter() {
    MoeConfig config = MoeConfig.builder(8, 16, 4, 2).sharedExperts(1).build();
    try (ParameterStore store = new ParameterStore(1);
        Scope scope = Scope.open()) {
      MoeLayer layer = new MoeLayer(config, store);
      RandomSource random = new RandomSource(2);
      Tensor x = random.normal(3, 5, 8).requiresGrad(true);
      MoeOutput out = layer.forward(x, TokenContext.train(3, 5, random));
      assertThat(out.output().shape()).containsExactly(3, 5, 8);
      out.output().square().sum().add(out.balance()).backward();
      assertThat(store.all())
          .allSatisfy(p -> assertThat(p.tensor().grad()).as(p.name()).isPresent());
      assertThat(x.grad()).isPresent();
    }
  }
}

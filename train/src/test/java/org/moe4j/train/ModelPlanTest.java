package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.moe4j.BalanceTerm;
import org.moe4j.Capacity;
import org.moe4j.CapacityRule;
import org.moe4j.DropOrder;
import org.moe4j.ExpertForm;
import org.moe4j.FractionBalance;
import org.moe4j.Grouping;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.ParameterStore;
import org.moe4j.RouterZLoss;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.config.TrainingConfig;

/** What the keys of [moe] become. */
class ModelPlanTest {
  private static MoeConfig moe(String... settings) {
    return ModelPlan.moe(TrainingConfig.defaults().with(List.of(settings)));
  }

  @Test
  void gshardsLocalGroupsHoldForCapacityAndLoss() {
    MoeConfig moe =
        moe(
            "moe.router=gshard-top-2",
            "moe.dispatcher=capacity",
            "moe.capacity-policy=gshard",
            "moe.group-size=64");
    assertThat(moe.capacity())
        .isEqualTo(
            new Capacity(
                new CapacityRule.Factor(2, false, CapacityRule.Rounding.FLOOR),
                CapacityRule.UNLIMITED,
                Grouping.tokens(64),
                DropOrder.CHOICE,
                true));
    assertThat(moe.balance())
        .containsExactly(
            new BalanceTerm(FractionBalance.gshard(Grouping.tokens(64)), 0.01),
            new BalanceTerm(new RouterZLoss(), 0.001));
  }

  @Test
  void theStartIsThatOfTheExpertsAndOfTheDenseLayersBesideThem() {
    TrainingConfig config =
        TrainingConfig.defaults()
            .with(
                List.of(
                    "moe.init=t5",
                    "model.init-std=0.1",
                    "model.placement=first-dense",
                    "model.layers=2"));
    DecoderConfig plan = ModelPlan.of(config, 100);
    assertThat(plan.initStd()).isEqualTo(0.1);
    assertThat(plan.feedForward().getFirst())
        .isEqualTo(new FeedForwardConfig.Dense(ExpertForm.SWIGLU, 768, InitScheme.T5));
    assertThat(plan.feedForward().getLast().sparse().orElseThrow().init()).isEqualTo(InitScheme.T5);
    try (ParameterStore store = new ParameterStore(1);
        Decoder model = new Decoder(plan, store)) {
      // Cut at two deviations, a normal distribution of deviation 1/16 has this one.
      double cut = 0.8796 / 16;
      assertThat(deviation(store, "layers.0.ffn.w_in")).isCloseTo(cut, within(0.001));
      assertThat(deviation(store, "layers.1.moe.experts.w_in")).isCloseTo(cut, within(0.001));
      assertThat(deviation(store, "layers.0.attn.q_proj.weight")).isCloseTo(0.1, within(0.001));
      assertThat(model.config()).isEqualTo(plan);
    }
  }

  private static double deviation(ParameterStore store, String name) {
    float[] w = store.named(name).tensor().toFloats();
    double sum = 0;
    for (float x : w) {
      sum += (double) x * x;
    }
    return Math.sqrt(sum / w.length);
  }

  @Test
  void aNamedPolicyHasItsOwnGroupsAndTheUsualFactor() {
    Capacity mesh = moe("moe.dispatcher=capacity", "moe.capacity-policy=mesh").capacity();
    assertThat(mesh.train()).isEqualTo(Capacity.mesh(1.25, 1).train());
    assertThat(mesh.group()).isEqualTo(Grouping.tokensAtMost(1024));
    assertThat(mesh.order()).isEqualTo(DropOrder.CHOICE);
    Capacity factor =
        moe(
                "moe.dispatcher=capacity",
                "moe.capacity-policy=fastmoe-switch",
                "moe.capacity-factor=1.2")
            .capacity();
    assertThat(factor.train()).isEqualTo(Capacity.fastMoeSwitch(1.2, 1).train());
  }

  @Test
  void withoutAPolicyTheShareIsOfAllChoices() {
    Capacity own =
        moe(
                "moe.dispatcher=capacity",
                "moe.capacity-factor=1.5",
                "moe.drop-order=choice",
                "moe.group-size=32")
            .capacity();
    assertThat(own)
        .isEqualTo(
            new Capacity(
                new CapacityRule.Factor(1.5, true, CapacityRule.Rounding.CEIL),
                CapacityRule.UNLIMITED,
                Grouping.tokens(32),
                DropOrder.CHOICE,
                false));
    assertThat(moe().capacity()).isEqualTo(Capacity.NONE);
  }

  @Test
  void anUnknownPolicyIsRefusedWithTheNearestOne() {
    assertThatThrownBy(() -> moe("moe.dispatcher=capacity", "moe.capacity-policy=gshrad"))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("did you mean \"gshard\"?");
  }
}

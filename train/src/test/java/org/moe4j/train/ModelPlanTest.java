package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.moe4j.BalanceTerm;
import org.moe4j.Capacity;
import org.moe4j.CapacityRule;
import org.moe4j.DropOrder;
import org.moe4j.FractionBalance;
import org.moe4j.Grouping;
import org.moe4j.MoeConfig;
import org.moe4j.RouterZLoss;
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

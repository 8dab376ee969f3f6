package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * DeepSeek-V2's router (S40): softmax over all experts; a token keeps the M of D groups with the
 * best expert and chooses the k best of these; weights are not renormalised. In training, {@link
 * DeviceDrops} keeps each group within its budget, as the paper has it; the released code drops
 * nothing ({@code device-capacity} 0) and puts 0 in place of masked scores ({@code group-mask}
 * "zero").
 */
public final class DeepSeekV2Router implements Router {
  private final LinearRouter choice;
  private final DeviceDrops drops;

  /** The registry's entry. */
  static RouterEntry entry() {
    GroupLimit limit =
        new GroupLimit(8, 3, GroupLimit.GroupScore.MAX, GroupLimit.Mask.MINUS_INFINITY);
    List<OptionKey> keys = new ArrayList<>(GatingOptions.keys(Gating.SOFTMAX_TOP_K.with(limit)));
    keys.add(
        OptionKey.number(
            "device-capacity",
            1,
            "in training a group of experts serves so many times its even share; 0 for all"));
    keys.add(
        OptionKey.number(
            "exempt-sequences", 0.1, "share of the sequences of which nothing is dropped"));
    return RouterEntry.of(
            "deepseek-v2",
            "S40",
            "softmax, k best of the experts of a few groups (devices); drops by group")
        .causality(Causality.TRAINING_ONLY)
        .losses("deepseek-expert", "deepseek-device", "deepseek-communication")
        .options(keys)
        .valid(DeepSeekV2Router::valid)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("gate", "softmax then select + not renormalised")
                .with("overflow", "drop by priority")
                .with("placement", "feed-forward + shared expert beside")
                .with("systems", "all-to-all + grouped"))
        .build(DeepSeekV2Router::new, c -> (long) c.experts() * c.width());
  }

  private static void valid(MoeConfig config) {
    Options options = config.routerEntry().check(config);
    drops(options, 0);
    if (options.number("device-capacity") > 0 && !config.capacity().unlimited()) {
      throw new MoeException(
          "router \"deepseek-v2\" with device-capacity "
              + options.number("device-capacity")
              + " and a capacity factor exclude each other: both drop; set device-capacity to 0"
              + " or leave the capacity factor out");
    }
  }

  private DeepSeekV2Router(RouterSetup s) {
    MoeConfig c = s.config();
    this.choice =
        new LinearRouter(
            GatingOptions.read(s.options()),
            c.width(),
            c.experts(),
            c.topK(),
            false,
            0,
            c.init().gate(c.width()),
            s.store(),
            s.layer());
    this.drops = drops(s.options(), s.layer());
  }

  private static DeviceDrops drops(Options options, int layer) {
    return new DeviceDrops(
        options.number("device-capacity"), options.number("exempt-sequences"), layer);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    return drops.apply(choice.route(x, context), choice.gating().groups().groups(), context);
  }
}

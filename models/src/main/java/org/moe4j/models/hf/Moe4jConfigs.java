package org.moe4j.models.hf;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.moe4j.Activation;
import org.moe4j.AdaptiveBalance;
import org.moe4j.Balance;
import org.moe4j.BalanceTerm;
import org.moe4j.BatchEntropy;
import org.moe4j.Capacity;
import org.moe4j.CapacityRule;
import org.moe4j.CommunicationBalance;
import org.moe4j.DeviceBalance;
import org.moe4j.Dispatch;
import org.moe4j.ExpertForm;
import org.moe4j.FastMoeNoisyBalance;
import org.moe4j.FastMoeSwitchBalance;
import org.moe4j.FractionBalance;
import org.moe4j.GlobalEntropyBalance;
import org.moe4j.ImportanceBalance;
import org.moe4j.InitScheme;
import org.moe4j.LoadBalance;
import org.moe4j.LocalEntropyBalance;
import org.moe4j.MeanGateSquareBalance;
import org.moe4j.MeanImportance;
import org.moe4j.MoeConfig;
import org.moe4j.MutualInformation;
import org.moe4j.RouterZLoss;
import org.moe4j.SparsityL1;
import org.moe4j.VMoeBalance;
import org.moe4j.models.AttentionConfig;
import org.moe4j.models.AttentionExpertsConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.DecoderConfig.Multipliers;
import org.moe4j.models.DecoderConfig.NormPlacement;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.LatentConfig;
import org.moe4j.models.NormKind;
import org.moe4j.models.RopeConfig;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** {@code config.json} of our own layout: all that a {@link DecoderConfig} says. */
final class Moe4jConfigs {
  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .addMixIn(CapacityRule.class, Rules.class)
          .addMixIn(Balance.class, Losses.class)
          .addMixIn(AttentionConfig.class, Attentions.class)
          .addMixIn(RopeConfig.Scaling.class, Scalings.class)
          .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .build();

  /** The kinds of capacity rules by name. */
  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "rule")
  @JsonSubTypes({
    @JsonSubTypes.Type(value = CapacityRule.Unlimited.class, name = "unlimited"),
    @JsonSubTypes.Type(value = CapacityRule.Fixed.class, name = "fixed"),
    @JsonSubTypes.Type(value = CapacityRule.Fraction.class, name = "fraction"),
    @JsonSubTypes.Type(value = CapacityRule.WholeTokens.class, name = "whole-tokens"),
    @JsonSubTypes.Type(value = CapacityRule.Factor.class, name = "factor")
  })
  private interface Rules {}

  /** The kinds of balance losses by name. */
  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "kind")
  @JsonSubTypes({
    @JsonSubTypes.Type(value = FractionBalance.class, name = "fraction"),
    @JsonSubTypes.Type(value = AdaptiveBalance.class, name = "adaptive"),
    @JsonSubTypes.Type(value = CommunicationBalance.class, name = "communication"),
    @JsonSubTypes.Type(value = DeviceBalance.class, name = "device"),
    @JsonSubTypes.Type(value = GlobalEntropyBalance.class, name = "global-entropy"),
    @JsonSubTypes.Type(value = ImportanceBalance.class, name = "importance"),
    @JsonSubTypes.Type(value = LoadBalance.class, name = "load"),
    @JsonSubTypes.Type(value = FastMoeNoisyBalance.class, name = "fastmoe-noisy"),
    @JsonSubTypes.Type(value = FastMoeSwitchBalance.class, name = "fastmoe-switch"),
    @JsonSubTypes.Type(value = MutualInformation.class, name = "mutual-information"),
    @JsonSubTypes.Type(value = LocalEntropyBalance.class, name = "local-entropy"),
    @JsonSubTypes.Type(value = MeanGateSquareBalance.class, name = "mean-gate-square"),
    @JsonSubTypes.Type(value = VMoeBalance.class, name = "vmoe"),
    @JsonSubTypes.Type(value = BatchEntropy.class, name = "batch-entropy"),
    @JsonSubTypes.Type(value = SparsityL1.class, name = "sparsity-l1"),
    @JsonSubTypes.Type(value = MeanImportance.class, name = "mean-importance"),
    @JsonSubTypes.Type(value = RouterZLoss.class, name = "z-loss")
  })
  private interface Losses {}

  /** An {@link ExpertForm}; most have no clamp, and then the file does not speak of it. */
  @JsonInclude(JsonInclude.Include.NON_EMPTY)
  private record Form(
      Activation activation, boolean gated, boolean biases, Optional<ExpertForm.Clamp> clamp) {
    static Form of(ExpertForm f) {
      Optional<ExpertForm.Clamp> clamp =
          Optional.of(f.clamp()).filter(c -> !c.equals(ExpertForm.Clamp.NONE));
      return new Form(f.activation(), f.gated(), f.biases(), clamp);
    }

    ExpertForm form() {
      return new ExpertForm(activation, gated, biases, clamp.orElse(ExpertForm.Clamp.NONE));
    }
  }

  /** The kinds of attention by name. */
  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "kind")
  @JsonSubTypes({
    @JsonSubTypes.Type(value = GroupedQueryConfig.class, name = "grouped-query"),
    @JsonSubTypes.Type(value = LatentConfig.class, name = "latent"),
    @JsonSubTypes.Type(value = AttentionExpertsConfig.class, name = "experts")
  })
  private interface Attentions {}

  /** The scalings of rotary embeddings by name. */
  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
  @JsonSubTypes({
    @JsonSubTypes.Type(value = RopeConfig.Scaling.None.class, name = "none"),
    @JsonSubTypes.Type(value = RopeConfig.Scaling.Linear.class, name = "linear"),
    @JsonSubTypes.Type(value = RopeConfig.Scaling.Dynamic.class, name = "dynamic"),
    @JsonSubTypes.Type(value = RopeConfig.Scaling.Yarn.class, name = "yarn"),
    @JsonSubTypes.Type(value = RopeConfig.Scaling.LongRope.class, name = "longrope")
  })
  private interface Scalings {}

  private Moe4jConfigs() {}

  static DecoderConfig read(ConfigFile file) {
    List<FeedForwardConfig> feedForward = new ArrayList<>();
    int hidden = file.positive("hidden_size");
    for (ConfigFile f : file.objects("feed_forward")) {
      feedForward.add(f.checked(() -> feedForward(f, hidden)));
    }
    AttentionConfig attention = file.as("attention", AttentionConfig.class, MAPPER);
    return file.checked(
        () ->
            DecoderConfig.builder(file.positive("vocab_size"), hidden, attention, feedForward)
                .windows(List.copyOf(file.integerList("windows")))
                .norm(constant(file, "norm", NormKind.class))
                .placement(constant(file, "norm_placement", NormPlacement.class))
                .normEps(file.number("norm_eps"))
                .finalNormEps(file.number("final_norm_eps"))
                .multipliers(file.as("multipliers", Multipliers.class, MAPPER))
                .headBias(file.flagOr(false, "head_bias"))
                .maxPositions(file.positive("max_position_embeddings"))
                .tiedEmbeddings(file.flagOr(false, "tie_word_embeddings"))
                .initStd(file.number("initializer_range"))
                .build());
  }

  private static <E extends Enum<E>> E constant(ConfigFile file, String field, Class<E> type) {
    return file.as(field, type, MAPPER);
  }

  private static FeedForwardConfig feedForward(ConfigFile f, int hidden) {
    ExpertForm form = f.as("form", Form.class, MAPPER).form();
    return switch (f.text("kind")) {
      case "dense" ->
          new FeedForwardConfig.Dense(
              form,
              f.positive("width"),
              f.has("init") ? InitScheme.named(f.text("init")) : InitScheme.NORMAL);
      case "moe" -> new FeedForwardConfig.Moe(moe(f, hidden, form));
      default -> throw f.failure("kind " + f.text("kind") + ": use dense or moe");
    };
  }

  private static MoeConfig moe(ConfigFile f, int hidden, ExpertForm form) {
    Capacity capacity = f.as("capacity", Capacity.class, MAPPER);
    ExpertForm shared =
        f.has("shared_form") ? f.as("shared_form", Form.class, MAPPER).form() : form;
    return MoeConfig.builder(
            hidden, f.positive("expert_width"), f.positive("experts"), f.positive("top_k"))
        .router(f.text("router"), f.options("router_options"))
        .form(form)
        .sharedWidth(f.natural("shared_width"))
        .sharedForm(shared)
        .sharedGate(f.flagOr(false, "shared_gate"))
        .outputBias(f.flagOr(false, "output_bias"))
        .capacity(capacity)
        .dispatch(Dispatch.named(f.text("dispatch")))
        .balance(List.of(f.as("balance", BalanceTerm[].class, MAPPER)))
        .expertDropout(f.number("expert_dropout"))
        .init(InitScheme.named(f.text("init")))
        .build();
  }

  static void write(ObjectNode root, DecoderConfig c) {
    root.putArray("architectures").add("Moe4jForCausalLM");
    root.put("vocab_size", c.vocab());
    root.put("hidden_size", c.hidden());
    root.put("num_hidden_layers", c.layers());
    root.set("attention", MAPPER.valueToTree(c.attention()));
    c.windows().forEach(root.putArray("windows")::add);
    root.put("norm", c.norm().name());
    root.put("norm_placement", c.placement().name());
    root.put("norm_eps", c.normEps());
    root.put("final_norm_eps", c.finalNormEps());
    root.set("multipliers", MAPPER.valueToTree(c.multipliers()));
    root.put("head_bias", c.headBias());
    root.put("max_position_embeddings", c.maxPositions());
    root.put("tie_word_embeddings", c.tiedEmbeddings());
    root.put("initializer_range", c.initStd());
    var list = root.putArray("feed_forward");
    c.feedForward().forEach(f -> write(list.addObject(), f));
  }

  private static void write(ObjectNode to, FeedForwardConfig f) {
    switch (f) {
      case FeedForwardConfig.Dense dense -> {
        to.put("kind", "dense");
        to.set("form", MAPPER.valueToTree(Form.of(dense.form())));
        to.put("width", dense.width());
        to.put("init", dense.init().label());
      }
      case FeedForwardConfig.Moe m -> {
        to.put("kind", "moe");
        write(to, m.moe());
      }
    }
  }

  private static void write(ObjectNode to, MoeConfig m) {
    to.set("form", MAPPER.valueToTree(Form.of(m.form())));
    to.put("expert_width", m.expertWidth());
    to.put("experts", m.experts());
    to.put("top_k", m.topK());
    to.put("router", m.router());
    to.set("router_options", MAPPER.valueToTree(m.routerOptions()));
    to.put("shared_width", m.sharedWidth());
    if (!m.sharedForm().equals(m.form())) {
      to.set("shared_form", MAPPER.valueToTree(Form.of(m.sharedForm())));
    }
    to.put("shared_gate", m.sharedGate());
    to.put("output_bias", m.outputBias());
    to.set("capacity", MAPPER.valueToTree(m.capacity()));
    to.put("dispatch", m.dispatch().label());
    to.set("balance", MAPPER.valueToTree(m.balance().toArray()));
    to.put("expert_dropout", m.expertDropout());
    to.put("init", m.init().label());
  }
}

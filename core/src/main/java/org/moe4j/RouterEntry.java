package org.moe4j;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;

/**
 * What the registry knows of a router.
 *
 * @param name the word in configuration files
 * @param paper the system's number in the reading list
 * @param description one line
 * @param causality which other tokens it looks at
 * @param form the form of its plan in training
 * @param taxonomy the twelve values of S22
 * @param options its documented options
 * @param evidence what its plans carry in training, for losses
 * @param losses names of the balance losses its own system trains with
 * @param choices k, if the router can make only that many choices
 * @param valid refuses configurations that this router cannot serve
 * @param maker makes the router and its parameters
 * @param parameters how many parameters it makes
 * @param commonParameters how many of these all layers of a model share
 * @param flops floating-point operations of the router per token
 * @param expertsPerToken how many experts compute a token, on average
 * @param bank the experts that belong to this router, if not feed-forward ones
 * @param surrounding what happens to tokens around the layer, if anything
 */
public record RouterEntry(
    String name,
    String paper,
    String description,
    Causality causality,
    RoutingForm form,
    Taxonomy taxonomy,
    List<OptionKey> options,
    Set<Evidence.Kind> evidence,
    List<String> losses,
    OptionalInt choices,
    Consumer<MoeConfig> valid,
    Function<RouterSetup, Router> maker,
    ToLongFunction<MoeConfig> parameters,
    ToLongFunction<MoeConfig> commonParameters,
    ToLongFunction<MoeConfig> flops,
    ToLongFunction<MoeConfig> expertsPerToken,
    Optional<Bank> bank,
    Optional<Surrounding> surrounding) {

  /**
   * Experts of another kind than {@link FeedForwardExperts}.
   *
   * @param maker makes them; the store is the experts' own
   * @param parameters of all experts
   * @param activeParameters that one token meets
   * @param flops per token
   */
  public record Bank(
      Function<RouterSetup, ExpertBank> maker,
      ToLongFunction<MoeConfig> parameters,
      ToLongFunction<MoeConfig> activeParameters,
      ToLongFunction<MoeConfig> flops) {}

  /**
   * What happens to tokens around the layer.
   *
   * @param inside the configuration of router and experts, from that of the whole
   * @param maker makes it, from the configuration of the whole
   * @param parameters it makes, from the configuration of the whole
   * @param rows rows inside per token
   */
  public record Surrounding(
      UnaryOperator<MoeConfig> inside,
      Function<RouterSetup, Surround> maker,
      ToLongFunction<MoeConfig> parameters,
      ToLongFunction<MoeConfig> rows) {}

  /** Starts an entry: a token-choice router that looks at no other token, without options. */
  public static Builder of(String name, String paper, String description) {
    return new Builder(name, paper, description);
  }

  /** Whether its plans give {@code loss} what it needs. */
  public boolean suits(Balance loss) {
    return loss.needs().forms().contains(form) && evidence.containsAll(loss.needs().evidence());
  }

  /** The options of {@code config}, checked. */
  Options check(MoeConfig config) {
    return Options.check("router \"" + name + "\"", options, config.routerOptions());
  }

  /**
   * Refuses what this router cannot serve.
   *
   * @throws MoeException naming both sides
   */
  void validate(MoeConfig config) {
    check(config);
    if (choices.isPresent() && config.topK() != choices.getAsInt()) {
      throw new MoeException(
          "router \""
              + name
              + "\" chooses exactly "
              + choices.getAsInt()
              + ", not top-k "
              + config.topK()
              + "; set top-k to "
              + choices.getAsInt());
    }
    valid.accept(config);
  }

  /** Collects what an entry says. */
  public static final class Builder {
    private final String name;
    private final String paper;
    private final String description;
    private Causality causality = Causality.PER_TOKEN;
    private RoutingForm form = RoutingForm.TOKEN_CHOICE;
    private Taxonomy taxonomy = Taxonomy.TOKEN_TOP_K;
    private List<OptionKey> options = List.of();
    private Set<Evidence.Kind> evidence = Set.of(Evidence.Kind.LOGITS, Evidence.Kind.PROBABILITIES);
    private List<String> losses = List.of();
    private OptionalInt choices = OptionalInt.empty();
    private Consumer<MoeConfig> valid = c -> {};
    private ToLongFunction<MoeConfig> flops = c -> 2L * c.width() * c.experts();
    private ToLongFunction<MoeConfig> commonParameters = c -> 0;
    private ToLongFunction<MoeConfig> expertsPerToken = MoeConfig::topK;
    private @Nullable Bank bank;
    private @Nullable Surrounding surrounding;

    private Builder(String name, String paper, String description) {
      this.name = name;
      this.paper = paper;
      this.description = description;
    }

    /** Which other tokens it looks at. */
    public Builder causality(Causality causality) {
      this.causality = causality;
      return this;
    }

    /** The form of its plan in training. */
    public Builder form(RoutingForm form) {
      this.form = form;
      return this;
    }

    /** The twelve values. */
    public Builder taxonomy(Taxonomy taxonomy) {
      this.taxonomy = taxonomy;
      return this;
    }

    /** The documented options. */
    public Builder options(OptionKey... keys) {
      return options(List.of(keys));
    }

    /** The documented options. */
    public Builder options(List<OptionKey> keys) {
      this.options = List.copyOf(keys);
      return this;
    }

    /** Its plans carry nothing for losses to read. */
    public Builder unscored() {
      return evidence();
    }

    /** What its plans carry in training; logits and probabilities if not called. */
    public Builder evidence(Evidence.Kind... kinds) {
      this.evidence = Set.of(kinds);
      return this;
    }

    /** The balance losses of its own system; none if not called. */
    public Builder losses(String... names) {
      this.losses = List.of(names);
      return this;
    }

    /** It chooses exactly {@code k}. */
    public Builder choices(int k) {
      this.choices = OptionalInt.of(k);
      return this;
    }

    /** Refuses, with an exception, configurations that it cannot serve. */
    public Builder valid(Consumer<MoeConfig> valid) {
      this.valid = valid;
      return this;
    }

    /** Floating-point operations of the router per token; 2 d E if not called. */
    public Builder flops(ToLongFunction<MoeConfig> flops) {
      this.flops = flops;
      return this;
    }

    /** How many of its parameters all layers of a model share; none if not called. */
    public Builder commonParameters(ToLongFunction<MoeConfig> parameters) {
      this.commonParameters = parameters;
      return this;
    }

    /** How many experts compute a token, on average; top-k if not called. */
    public Builder expertsPerToken(ToLongFunction<MoeConfig> experts) {
      this.expertsPerToken = experts;
      return this;
    }

    /** The router's own kind of experts. */
    public Builder bank(Bank bank) {
      this.bank = bank;
      return this;
    }

    /** What happens around the layer. */
    public Builder surrounding(Surrounding surrounding) {
      this.surrounding = surrounding;
      return this;
    }

    /**
     * The entry.
     *
     * @param maker makes the router and its parameters
     * @param parameters how many parameters it makes
     */
    public RouterEntry build(
        Function<RouterSetup, Router> maker, ToLongFunction<MoeConfig> parameters) {
      return new RouterEntry(
          name,
          paper,
          description,
          causality,
          form,
          taxonomy,
          options,
          evidence,
          losses,
          choices,
          valid,
          maker,
          parameters,
          commonParameters,
          flops,
          expertsPerToken,
          Optional.ofNullable(bank),
          Optional.ofNullable(surrounding));
    }
  }
}

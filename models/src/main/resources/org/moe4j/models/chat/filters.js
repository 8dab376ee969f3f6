/*
 * Tests and filters with Python's values. What stays unknown here and in the library is an error.
 * Evaluated behind jinja.js, whose declarations it extends.
 */
// --- tests and filters -----------------------------------------------------------------------------

var TESTS = {
  iterable: function (v) {
    return v instanceof StringValue || v instanceof ArrayValue || v instanceof ObjectValue;
  },
  number: isNumericLikeValue,
  float: function (v) { return v instanceof FloatValue; },
  equalto: equal,
  eq: equal,
  '==': equal,
  ne: function (a, b) { return !equal(a, b); },
  'in': function (a, b) { return contains(b, a); }
};
var libraryTests = new Environment().tests;
Object.keys(TESTS).forEach(function (name) { libraryTests.set(name, TESTS[name]); });

/** The test that select, reject and the like are given; none asks for truth. */
function testOf(args) {
  if (args.length === 0) {
    return function (value) { return value.__bool__().value; };
  }
  var test = libraryTests.get(args[0].value);
  if (test === undefined) {
    throw new Error("unknown test '" + args[0].value + "'");
  }
  return function (value) { return test(value, args[1]); };
}

function chosen(operand, test, wanted) {
  return new ArrayValue(itemsOf(operand).filter(function (item) { return test(item) === wanted; }));
}

function attributeTest(args) {
  var test = testOf(args.slice(1));
  return function (item) { return test(getAttributeValue(item, args[0].value)); };
}

function numberOf(operand, args, float) {
  var absent = keyword(args, 0, 'default', float ? new FloatValue(0) : new IntegerValue(0));
  if (isNumericLikeValue(operand)) {
    var number = getNumericValue(operand);
    return float ? new FloatValue(number) : new IntegerValue(Math.trunc(number));
  }
  var text = operand instanceof StringValue ? operand.value.trim() : '';
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
    return absent;
  }
  return float ? new FloatValue(Number(text)) : new IntegerValue(Math.trunc(Number(text)));
}

/** To even among equals, as Python rounds. */
function rounded(operand, args) {
  var scale = Math.pow(10, keyword(args, 0, 'precision', new IntegerValue(0)).value);
  var scaled = getNumericValue(operand) * scale;
  var down = Math.floor(scaled);
  var rest = scaled - down;
  var up = rest > 0.5 || (rest === 0.5 && down % 2 !== 0);
  return new FloatValue((up ? down + 1 : down) / scale);
}

function defaulted(operand, args) {
  var fallback = keyword(args, 0, 'default_value', new StringValue(''));
  var falsy = keyword(args, 1, 'boolean', truth(false)).__bool__().value;
  var absent = operand instanceof UndefinedValue || (falsy && !operand.__bool__().value);
  return absent ? fallback : operand;
}

function lengthOf(operand) {
  return new IntegerValue(itemsOf(operand).length);
}

function joined(operand, args) {
  var attribute = keyword(args, 1, 'attribute', null);
  return textOf(itemsOf(operand).map(function (item) {
    return str(attribute === null ? item : getAttributeValue(item, attribute.value));
  }).join(keyword(args, 0, 'd', new StringValue('')).value));
}

function summed(operand, args) {
  var attribute = keyword(args, 0, 'attribute', null);
  return itemsOf(operand).reduce(function (sum, item) {
    return binary('+', sum, attribute === null ? item : getAttributeValue(item, attribute.value));
  }, keyword(args, 1, 'start', new IntegerValue(0)));
}

function indented(operand, args) {
  var width = keyword(args, 0, 'width', new IntegerValue(4));
  var indent = width instanceof StringValue ? width.value : ' '.repeat(width.value);
  var first = keyword(args, 1, 'first', truth(false)).value;
  var blank = keyword(args, 2, 'blank', truth(false)).value;
  return textOf(str(operand).split('\n').map(function (line, i) {
    return (i === 0 && !first) || (i > 0 && line.length === 0 && !blank) ? line : indent + line;
  }).join('\n'));
}

function best(wanted) {
  return function (operand) {
    var items = itemsOf(operand);
    return items.length === 0 ? new UndefinedValue() : items.reduce(function (a, b) {
      return compareRuntimeValues(b, a, false) === wanted ? b : a;
    });
  };
}

var FILTERS = {
  string: function (v) { return textOf(str(v)); },
  join: joined,
  length: lengthOf,
  count: lengthOf,
  'default': defaulted,
  d: defaulted,
  int: function (v, args) { return numberOf(v, args, false); },
  float: function (v, args) { return numberOf(v, args, true); },
  round: rounded,
  sum: summed,
  min: best(-1),
  max: best(1),
  indent: indented,
  trim: function (v, args) { return stripped(str(v), args, true, true); },
  capitalize: function (v) { return new StringValue(capitalized(str(v))); },
  title: function (v) {
    return new StringValue(str(v).replace(/[^-\s({[<]+/g, capitalized));
  },
  upper: function (v) { return new StringValue(str(v).toUpperCase()); },
  lower: function (v) { return new StringValue(str(v).toLowerCase()); },
  list: function (v) { return new ArrayValue(itemsOf(v)); },
  first: function (v) { return itemsOf(v)[0] || new UndefinedValue(); },
  last: function (v) { return itemsOf(v).at(-1) || new UndefinedValue(); },
  unique: function (v) {
    return new ArrayValue(itemsOf(v).reduce(function (seen, item) {
      var known = seen.some(function (other) {
        return equal(other, item) || (other instanceof StringValue && item instanceof StringValue
          && other.value.toLowerCase() === item.value.toLowerCase());
      });
      return known ? seen : seen.concat([item]);
    }, []));
  },
  select: function (v, args) { return chosen(v, testOf(args), true); },
  reject: function (v, args) { return chosen(v, testOf(args), false); },
  selectattr: function (v, args) { return chosen(v, attributeTest(args), true); },
  rejectattr: function (v, args) { return chosen(v, attributeTest(args), false); }
};

/** With arguments that the library's own filters would pass over. */
var STRICT = { tojson: 0 };

var libraryFilter = Interpreter.prototype.applyFilter;
Interpreter.prototype.applyFilter = function (operand, node, environment) {
  var call = node.type === 'CallExpression';
  var name = call ? node.callee.value : node.value;
  var own = Object.prototype.hasOwnProperty.call(FILTERS, name) ? FILTERS[name] : undefined;
  var interpreter = this;
  if (own !== undefined) {
    var given = call ? this.evaluateArguments(node.args, environment) : [[], new Map()];
    var args = given[1].size > 0 ? given[0].concat([new KeywordArgumentsValue(given[1])]) : given[0];
    return own(operand, args);
  }
  if (name === 'map' && call && node.args.length > 0 && node.args[0].type === 'StringLiteral') {
    var inner = new Identifier(node.args[0].value);
    if (node.args.length > 1) {
      throw new Error("map('" + inner.value + "') with arguments is not supported");
    }
    return new ArrayValue(itemsOf(operand).map(function (item) {
      return interpreter.applyFilter(item, inner, environment);
    }));
  }
  if (STRICT[name] !== undefined && call && node.args.some(function (a) {
    return a.type !== 'KeywordArgumentExpression';
  })) {
    throw new Error(name + ' takes its arguments by name');
  }
  return libraryFilter.call(this, operand, node, environment);
};

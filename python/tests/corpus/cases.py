"""The code that makes array libraries fail, and what each failure is: the source of `messages.json`.

A case is `(library, code, ml)`. The code runs as the body of a function, with `numpy` as `np`, `pandas` as `pd` and the
library itself imported; its last statement fails. `ml` holds the fields that have to be found, `None` what is to be left
alone. `generate.py` runs the cases that an environment has the library for.
"""

from __future__ import annotations

from typing import Any


def shape(*shapes: list[int | None], **more: Any) -> dict[str, Any]:
    """A mismatch of shapes; without any, only the tag is checked."""
    return {"_tag": "ShapeMismatch", **({"shapes": list(shapes)} if shapes else {}), **more}


def dtype(expected: str | None = None, actual: str | None = None, **more: Any) -> dict[str, Any]:
    """A mismatch of dtypes; what is None is not checked."""
    known = {name: value for name, value in (("expected", expected), ("actual", actual)) if value is not None}
    return {"_tag": "DtypeMismatch", **known, **more}


def device(**more: Any) -> dict[str, Any]:
    return {"_tag": "DeviceMismatch", **more}


def no_device(name: str) -> dict[str, Any]:
    return {"_tag": "DeviceNotAvailable", "device": name}


def memory(requested: int | None = None) -> dict[str, Any]:
    known = {} if requested is None else {"requestedBytes": requested}
    return {"_tag": "OutOfMemory", "device": "cpu", **known}


_NUMPY = [
    ("a, b = np.zeros((2, 3)), np.zeros((4, 5))\na + b", shape([2, 3], [4, 5], operation="add")),
    ("a, b = np.zeros((2, 3)), np.zeros(2)\na * b", shape([2, 3], [2], operation="multiply")),
    ("a, b = np.zeros((2, 3)), np.zeros((3, 2))\nnp.subtract(a, b)", shape([2, 3], [3, 2], operation="subtract")),
    ("a = np.zeros((2, 3))\na += np.zeros((4, 3))", shape([2, 3], [4, 3])),
    ("a, b = np.zeros((2, 3)), np.zeros((4, 3))\nnp.maximum(a, b)", shape([2, 3], [4, 3])),
    ("a, b = np.zeros((2, 3)), np.zeros((4, 5))\na @ b", shape([2, 3], [4, 5], operation="matmul")),
    ("a, b = np.zeros((2, 3)), np.zeros((4, 3))\nnp.matmul(a, b)", shape([2, 3], [4, 3], operation="matmul")),
    ("a, b = np.zeros((2, 3)), np.zeros((2, 4))\nnp.dot(a, b)", shape([2, 3], [2, 4], operation="dot")),
    ("a, b = np.zeros((2, 3)), np.zeros(4)\na.dot(b)", shape([2, 3], [4], operation="dot")),
    ("np.dot(np.zeros((2, 3)), np.zeros((4, 5)))", shape([2, 3], [4, 5], operation="dot")),
    ("np.matmul(np.zeros((2, 3)), np.zeros((4, 5)))", shape([3], [4], operation="matmul")),
    ("np.zeros((2, 3)) @ np.zeros(4)", shape([3], [4], operation="matmul")),
    ("np.zeros((5, 2, 3)) @ np.zeros((4, 3, 2))", shape([5, 2, 3], [4, 3, 2], operation="matmul")),
    ("a, b = np.zeros((5, 2, 3)), np.zeros((4, 3, 2))\na @ b", shape([5, 2, 3], [4, 3, 2], operation="matmul")),
    ("a, b = np.zeros((2, 3)), np.zeros((4, 5))\nnp.inner(a, b)", shape([2, 3], [4, 5])),
    ("a, b = np.zeros((2, 3)), np.zeros((4, 5))\nnp.tensordot(a, b)", shape()),
    ("np.vdot(np.zeros(3), np.zeros(4))", shape()),
    ("np.zeros(6).reshape(4, 2)", shape([6], [4, 2], operation="reshape")),
    ("a = np.zeros((2, 3))\na.reshape(4, -1)", shape([2, 3], [4, None], operation="reshape")),
    ("a = np.zeros((3, 5))\nnp.reshape(a, (5, 5))", shape([3, 5], [5, 5], operation="reshape")),
    ("a, b = np.zeros((2, 3)), np.zeros((2, 4))\nnp.concatenate([a, b])", shape([2, 3], [2, 4])),
    ("np.concatenate([np.zeros((2, 3)), np.zeros((3, 3))], axis=1)", shape([2], [3])),
    ("a, b = np.zeros((2, 3)), np.zeros(3)\nnp.concatenate([a, b])", shape([2, 3], [3])),
    ("np.vstack([np.zeros((2, 3)), np.zeros((2, 4))])", shape([3], [4])),
    ("np.hstack([np.zeros((2, 3)), np.zeros((4, 3))])", shape([2], [4])),
    ("np.column_stack([np.zeros(3), np.zeros(4)])", shape([3], [4])),
    ("a, b = np.zeros((2, 3)), np.zeros((2, 4))\nnp.stack([a, b])", shape([2, 3], [2, 4])),
    ("np.append(np.zeros((2, 3)), np.zeros(3), axis=0)", shape([None, None], [None])),
    ("a = np.zeros(2)\na[:] = np.zeros(3)", shape([3], [2])),
    ("a = np.zeros((2, 3))\na[0] = np.ones((2, 2))", shape([2, 2], [3])),
    ("a = np.zeros((3, 3))\na[[0, 1]] = np.zeros((4, 3))", shape([4, 3], [2, 3])),
    ("a = np.zeros((4, 4))\na[[0, 1], [0, 1, 2]]", shape([2], [3])),
    ("a = np.zeros(3)\na[np.array([True, False])]", shape([3], [2], operation="index")),
    ("a = np.zeros((3, 2))\na[np.zeros((3, 3), bool)]", shape([2], [3], operation="index")),
    ("np.add(np.zeros((2, 3)), np.zeros(3), out=np.zeros(3))", shape([2, 3], [3])),
    ("np.broadcast_to(np.zeros(3), (2, 4))", shape([3], [2, 4])),
    ("np.broadcast_arrays(np.zeros((2, 3)), np.zeros(4))", shape([2, 3], [4])),
    ("np.where(np.zeros(3, bool), np.zeros(2), np.zeros(3))", shape()),
    ("np.linalg.inv(np.zeros((2, 3)))", shape(operation="inv")),
    ("a = np.zeros((2, 3))\nnp.linalg.det(a)", shape([2, 2], [2, 3], operation="det")),
    ("a = np.zeros((2, 3))\nnp.linalg.eig(a)", shape([2, 2], [2, 3])),
    ("np.linalg.cholesky(np.zeros((3, 2)))", shape()),
    ("np.linalg.solve(np.eye(3), np.zeros((4, 1)))", shape([3], [4], operation="solve")),
    ("np.linalg.inv(np.zeros(3))", shape()),
    ("np.einsum('ij,jk->ik', np.zeros((2, 3)), np.zeros((4, 5)))", shape()),
    ("np.cross(np.zeros(4), np.zeros(4))", shape(operation="cross")),
    ("np.add([1, 2], [1, 2, 3])", shape([2], [3], operation="add")),
    ("np.copyto(np.zeros(3), np.zeros(4))", shape([4], [3])),
    ("np.array(['a', 'b']) + np.array([1, 2])", dtype(operation="add")),
    ("a = np.zeros(3, 'int64')\na += np.array([0.5, 1, 2])", dtype("int64", "float64", operation="add")),
    ("a = np.zeros(3, 'int64')\na /= 2", dtype("int64", "float64")),
    ("np.add(np.zeros(3), 1j, out=np.zeros(3))", dtype("float64", "complex128")),
    ("np.isnan(np.array(['a', 'b']))", dtype(operation="isnan")),
    ("np.isnan(np.array([None, 1]))", dtype(operation="isnan")),
    ("np.array([1, 2, 3])[np.array([0.5, 1.0])]", dtype(operation="index")),
    ("np.bitwise_and(np.zeros(3), 1)", dtype(operation="bitwise_and")),
    ("np.bincount(np.array([0.5, 1.0]))", dtype("int64", "float64")),
    ("np.linalg.inv(np.eye(2, dtype='float16'))", dtype("float64", "float16")),
    ("np.array([True, False]) - np.array([True, True])", dtype(actual="bool", operation="subtract")),
    ("np.zeros(3).astype('int64', casting='safe')", dtype("int64", "float64")),
    ("np.left_shift(np.zeros(2), 1)", dtype(operation="left_shift")),
    ("np.sqrt('four')", dtype(operation="sqrt")),
    ("'abc' @ np.zeros(3)", dtype(operation="matmul")),
    ("np.multiply(np.array(['a']), 2.5)", dtype(operation="multiply")),
    ("np.zeros((10**7, 10**7))", memory(8 * 10**14)),
    ("np.ones(10**15, dtype='float32')", memory(4 * 10**15)),
    ("np.arange(10**15)", memory(8 * 10**15)),
    ("np.empty((2**20, 2**20, 2**5), dtype='uint8')", memory(2**45)),
]

_NUMPY_ALIKE = [
    "int('12a')",
    "float('abc')",
    "np.array([[1, 2], [3]])",
    "np.zeros(3)[5]",
    "np.zeros((2, 3))[0, 7]",
    "np.sum(np.zeros((2, 3)), axis=2)",
    "np.zeros(-1)",
    "np.array([1, 2]).item()",
    "bool(np.zeros(3))",
    "np.dtype('no such dtype')",
    "np.linalg.inv(np.zeros((2, 2)))",
    "np.linspace(0, 1, num=-3)",
    "np.array([1, 2, 3]).index(1)",
    "np.random.default_rng(0).choice([], 3)",
    "np.array(['a', 'b']).astype(float)",
    "np.concatenate([])",
    "np.zeros(3, order='Q')",
    "np.matmul(np.zeros((2, 3)), np.zeros((3, 2)), axis=7)",
    "np.load('/no/such/file.npy')",
    "np.zeros((2, 3)).transpose(0)",
    "raise ValueError('shapes (2,3) and (4,5) not aligned: 3 (dim 1) != 4 (dim 0)')",
    "raise ValueError('operands could not be broadcast together with shapes (2,3) (4,5) ')",
    "raise RuntimeError('mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)')",
    "raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB.')",
    "raise MemoryError('Unable to allocate 7.28 TiB for an array with shape (10,) and data type float64')",
    "raise AssertionError('Torch not compiled with CUDA enabled')",
    "a, b = np.zeros((2, 3)), np.zeros((4, 5))\nraise ValueError('the batch does not fit')",
    "bytearray(10**15)",
    "[0] * 10**15",
    "dict(zip(range(3), range(4), strict=True))",
    "x, y = np.zeros(3)",
    "str.__add__('abc', np.zeros(3))",
    "open('/no/such/device')",
]

_TORCH = [
    ("a, b = torch.zeros(2, 3), torch.zeros(4, 5)\na @ b", shape([2, 3], [4, 5], operation="matmul")),
    ("a, b = torch.zeros(2, 3), torch.zeros(4, 5)\ntorch.mm(a, b)", shape([2, 3], [4, 5], operation="mm")),
    ("torch.matmul(torch.zeros(2, 3), torch.zeros(4, 3))", shape([2, 3], [4, 3], operation="matmul")),
    ("torch.nn.Linear(4, 2)(torch.zeros(5, 3))", shape([5, 3], [2, 4], operation="linear")),
    ("torch.nn.Linear(4, 2)(torch.zeros(4, 3))", shape([4, 3], [2, 4], operation="linear")),
    ("a, b = torch.zeros(2, 3), torch.zeros(2, 4)\na + b", shape([2, 3], [2, 4], operation="add")),
    ("torch.zeros(2, 3) * torch.zeros(4)", shape([3], [4])),
    ("a, b = torch.zeros(2, 3), torch.zeros(4, 3)\ntorch.maximum(a, b)", shape([2, 3], [4, 3])),
    ("torch.cat([torch.zeros(2, 3), torch.zeros(2, 4)])", shape([3], [4])),
    ("a, b = torch.zeros(2, 3), torch.zeros(3, 3)\ntorch.cat([a, b], dim=1)", shape([2, 3], [3, 3])),
    ("torch.cat([torch.zeros(2, 3), torch.zeros(3)])", shape([None, None], [None])),
    ("torch.stack([torch.zeros(2, 3), torch.zeros(3, 3)])", shape([2, 3], [3, 3])),
    ("torch.zeros(6).view(4, 2)", shape([6], [4, 2], operation="reshape")),
    ("a = torch.zeros(2, 3)\na.reshape(4, -1)", shape([2, 3], [4, None], operation="reshape")),
    ("torch.bmm(torch.zeros(2, 3, 4), torch.zeros(2, 5, 6))", shape([2, 4, None], [2, 5, None])),
    ("torch.bmm(torch.zeros(2, 3), torch.zeros(2, 3, 4))", shape()),
    ("torch.mm(torch.zeros(2), torch.zeros(2, 3))", shape()),
    ("torch.mv(torch.zeros(2, 3), torch.zeros(4))", shape([2, 3], [4])),
    ("torch.dot(torch.zeros(2), torch.zeros(3))", shape([2], [3])),
    ("torch.dot(torch.zeros(2, 2), torch.zeros(2))", shape()),
    ("torch.nn.Conv2d(3, 6, 3)(torch.zeros(1, 4, 8, 8))", shape([1, 4, 8, 8], [6, 3, 3, 3], operation="conv2d")),
    ("torch.nn.Conv2d(3, 6, 3)(torch.zeros(8, 8))", shape([None] * 4, [8, 8], operation="conv2d")),
    ("torch.nn.Conv1d(3, 6, 3)(torch.zeros(1, 4, 8))", shape([1, 4, 8], [6, 3, 3], operation="conv1d")),
    ("torch.nn.ConvTranspose2d(3, 6, 3)(torch.zeros(1, 4, 8, 8))", shape([1, 4, 8, 8], [3, 6, 3, 3])),
    ("torch.nn.functional.cross_entropy(torch.zeros(2, 5), torch.zeros(3, dtype=torch.long))", shape([2], [3])),
    ("torch.nn.functional.nll_loss(torch.zeros(2, 5), torch.zeros(3, dtype=torch.long))", shape([2], [3])),
    ("torch.nn.BCEWithLogitsLoss()(torch.zeros(3), torch.zeros(2))", shape([3], [2])),
    ("torch.nn.BCELoss()(torch.zeros(3), torch.zeros(2))", shape([3], [2])),
    ("torch.nn.BatchNorm1d(4)(torch.zeros(2, 3))", shape([3], [4], operation="batch_norm")),
    ("torch.nn.LayerNorm(4)(torch.zeros(2, 3))", shape([None, 4], [2, 3], operation="layer_norm")),
    ("torch.zeros(2, 4).expand(2, 3)", shape([2, 4], [2, 3])),
    ("torch.zeros(2, 3).expand(3)", shape([2, 3], [3])),
    ("torch.nn.LSTM(4, 8)(torch.zeros(5, 2, 3))", shape([4], [3])),
    ("torch.linalg.inv(torch.zeros(2, 3))", shape([2, 2], [2, 3])),
    ("torch.linalg.det(torch.zeros(3, 2))", shape([3, 3], [3, 2])),
    ("torch.linalg.solve(torch.eye(3), torch.zeros(4, 1))", shape([3, 3], [4, 1])),
    ("torch.zeros(2)[torch.tensor([True, False, True])]", shape([2], [3], operation="index")),
    ("torch.zeros(4, 4)[torch.tensor([0, 1]), torch.tensor([0, 1, 2])]", shape([2], [3])),
    ("a = torch.zeros(4)\na[torch.tensor([0, 1])] = torch.zeros(3)", shape([3], [2])),
    ("a = torch.zeros(4)\na[:2] = torch.zeros(3)", shape([3], [2])),
    ("torch.einsum('ij,jk->ik', torch.zeros(2, 3), torch.zeros(4, 5))", shape([3], [4], operation="einsum")),
    ("torch.nn.Linear(2, 3).load_state_dict(torch.nn.Linear(4, 3).state_dict())", shape([3, 4], [3, 2])),
    ("torch.nn.functional.linear(torch.zeros(2, 3), torch.zeros(5, 4))", shape([2, 3], [4, 5], operation="linear")),
    (
        "a, b = torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.float64)\na @ b.T",
        dtype("torch.float32", "torch.float64"),
    ),
    ("torch.mm(torch.zeros(2, 3), torch.zeros(3, 2, dtype=torch.float64))", dtype("torch.float32", "torch.float64")),
    ("torch.nn.Linear(3, 2)(torch.zeros(5, 3, dtype=torch.float64))", dtype("torch.float32", "torch.float64")),
    ("torch.nn.Linear(3, 2)(torch.zeros(5, 3, dtype=torch.long))", dtype("torch.float32", "torch.int64")),
    ("torch.nn.Conv2d(3, 6, 3)(torch.zeros(1, 3, 8, 8, dtype=torch.float64))", dtype("torch.float32", "torch.float64")),
    ("torch.dot(torch.zeros(2), torch.zeros(2, dtype=torch.float64))", dtype("torch.float32", "torch.float64")),
    ("torch.nn.functional.cross_entropy(torch.zeros(2, 5), torch.zeros(2))", dtype("torch.int64", "torch.float32")),
    ("torch.nn.Embedding(5, 3)(torch.zeros(2))", dtype("torch.int64", "torch.float32", operation="embedding")),
    ("a = torch.zeros(3, dtype=torch.long)\na += 0.5", dtype("torch.int64", "torch.float32")),
    ("torch.zeros(3, dtype=torch.long).mean()", dtype("torch.float32", "torch.int64", operation="mean")),
    ("torch.zeros(3)[torch.tensor([0.5])]", dtype("torch.int64", operation="index")),
    (
        "a = torch.zeros(3)\na[torch.tensor([0])] = torch.zeros(1, dtype=torch.float64)",
        dtype("torch.float32", "torch.float64"),
    ),
    ("torch.zeros(3).gather(0, torch.tensor([0.0]))", dtype("torch.int64", operation="gather")),
    ("torch.zeros(2, 2) & 1", dtype(None, "torch.float32")),
    ("torch.linalg.inv(torch.eye(2, dtype=torch.float16))", dtype(None, "torch.float16")),
    ("torch.tensor([1, 2], requires_grad=True)", dtype("torch.float32")),
    (
        "torch.nn.functional.binary_cross_entropy(torch.zeros(2), torch.zeros(2, dtype=torch.float64))",
        dtype("torch.float32", "torch.float64"),
    ),
    ("torch.zeros(2, dtype=torch.complex64) % 2", dtype(None, "torch.complex64")),
    ("a, b = torch.zeros(2, 3), torch.zeros(2, 3, device='meta')\na * b", device()),
    ("torch.zeros(2, 3) + torch.zeros(2, 3, device='meta')", device()),
    ("torch.nn.Linear(3, 2, device='meta')(torch.zeros(5, 3))", device()),
    ("torch.zeros(2).cuda()", no_device("cuda")),
    ("torch.zeros(2, device='cuda:0')", no_device("cuda")),
    ("torch.zeros(2).to('mps')", no_device("mps")),
    ("torch.cuda.current_device()", no_device("cuda")),
    ("torch.empty(10**15)", memory(4 * 10**15)),
    ("torch.zeros(10**6, 10**6, 10**3, dtype=torch.uint8)", memory(10**15)),
    ("a = torch.zeros(1)\na.expand(10**14).clone()", memory(4 * 10**14)),
]

_TORCH_ALIKE = [
    "torch.zeros(2, 3).item()",
    "torch.zeros(3)[7]",
    "torch.zeros(2, requires_grad=True).backward()",
    "torch.zeros(2).backward()",
    "torch.zeros(2, requires_grad=True).numpy()",
    "a = torch.zeros(2, requires_grad=True)\na += 1",
    "torch.device('no such device')",
    "torch.load('/no/such/model.pt')",
    "torch.tensor('text')",
    "torch.zeros(2, 3).t().view(6)",
    "torch.cat([])",
    "torch.nn.Linear(2, 2).load_state_dict({})",
    "torch.linalg.inv(torch.zeros(2, 2))",
    "torch.zeros(-1)",
    "torch.nn.Linear(2, 2)()",
    "torch.zeros(2).no_such_method()",
    "bool(torch.zeros(2))",
    "torch.arange(0, 5, -1)",
    "torch.multinomial(torch.zeros(3), 1)",
    "raise RuntimeError('Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!')",
]

_SKLEARN_HEAD = (
    "from sklearn.linear_model import LinearRegression, LogisticRegression\n"
    "x, y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2\n"
)

_SKLEARN = [
    ("LinearRegression().fit(x, y[:9])", shape([10, 2], [9])),
    ("LogisticRegression().fit(x, y[:4])", shape([10, 2], [4])),
    ("LinearRegression().fit(x, y).predict(np.zeros((4, 3)))", shape([None, 2], [None, 3])),
    (
        "fresh = np.zeros((2, 5))\nmodel = LogisticRegression().fit(x, y)\nmodel.predict(fresh)",
        shape([None, 2], [2, 5]),
    ),
    ("LinearRegression().fit(y, y)", shape([None, None], [10])),
    ("LinearRegression().fit(np.zeros((2, 3, 4)), y)", shape()),
    ("LogisticRegression().fit(x, np.zeros((10, 3)))", shape([None], [10, 3])),
    ("LogisticRegression().fit(3.0, y)", shape()),
    ("LinearRegression().fit(x, y, sample_weight=np.ones(9))", shape([10], [9])),
    ("from sklearn.metrics import accuracy_score\naccuracy_score(y, y[:8])", shape([10], [8])),
    ("from sklearn.metrics import mean_squared_error\nmean_squared_error(y, y[:7])", shape([10], [7])),
    ("from sklearn.model_selection import train_test_split\ntrain_test_split(x, y[:6])", shape([10, 2], [6])),
    (
        "from sklearn.metrics.pairwise import euclidean_distances\neuclidean_distances(x, np.zeros((3, 4)))",
        shape([None, 2], [None, 4]),
    ),
    (
        "from sklearn.preprocessing import StandardScaler\nStandardScaler().fit(x).transform(np.zeros((3, 5)))",
        shape([None, 2], [None, 5]),
    ),
    ("from sklearn.preprocessing import StandardScaler\nStandardScaler().fit(y)", shape([None, None], [10])),
    ("from sklearn.decomposition import PCA\nPCA().fit(x).transform(np.zeros((3, 4)))", shape([None, 2], [None, 4])),
    (
        "from sklearn.neighbors import KNeighborsClassifier\nKNeighborsClassifier().fit(x, y).predict(np.zeros((2, 7)))",
        shape([None, 2], [None, 7]),
    ),
    (
        "from sklearn.ensemble import RandomForestClassifier\nRandomForestClassifier(3).fit(x, y).predict(np.zeros((2, 9)))",
        shape([None, 2], [None, 9]),
    ),
    (
        "from sklearn.cluster import KMeans\nKMeans(2, n_init=1).fit(x).predict(np.zeros((2, 4)))",
        shape([None, 2], [None, 4]),
    ),
    ("from sklearn.svm import SVC\nSVC().fit(x, y).predict(np.zeros((2, 6)))", shape([None, 2], [None, 6])),
    ("from sklearn.metrics import roc_auc_score\nroc_auc_score(y, np.zeros(5))", shape([10], [5])),
    ("from sklearn.utils import check_array\ncheck_array(np.array([['a', 'b']]), dtype='numeric')", dtype()),
]

_SKLEARN_ALIKE = [
    "LinearRegression().predict(x)",
    "LinearRegression().fit(np.full((10, 2), np.nan), y)",
    "LogisticRegression().fit(x, np.zeros(10))",
    "LinearRegression().fit(np.zeros((0, 2)), np.zeros(0))",
    "LogisticRegression(C=-1).fit(x, y)",
    "LinearRegression().set_params(no_such_option=1)",
    "LinearRegression(no_such_option=1)",
    "from sklearn.cluster import KMeans\nKMeans(20, n_init=1).fit(x)",
    "from sklearn.model_selection import KFold\nlist(KFold(20).split(x))",
]

_PANDAS_HEAD = "df, s = pd.DataFrame({'a': [1, 2, 3], 'b': [4, 5, 6]}), pd.Series([1, 2, 3])\n"

_PANDAS = [
    ("df['c'] = [1, 2]", shape([3], [2])),
    ("df['c'] = np.zeros(5)", shape([3], [5])),
    ("pd.DataFrame({'a': [1, 2], 'b': [1, 2, 3]})", shape()),
    ("pd.DataFrame(np.zeros((2, 2)), index=[1, 2, 3])", shape([3, 2], [2, 2])),
    ("pd.DataFrame(np.zeros((2, 3)), columns=['a', 'b'])", shape([2, 2], [2, 3])),
    ("df.columns = ['a', 'b', 'c']", shape([2], [3])),
    ("df.index = [1, 2]", shape([3], [2])),
    ("df[['c', 'd']] = np.zeros((3, 3))", shape()),
    ("df.loc[9] = [1, 2, 3]", shape()),
    ("df.dot(pd.DataFrame(np.zeros((4, 2))))", shape()),
    ("df.dot(np.zeros((3, 2)))", shape([3, 2], [3, 2])),
    ("s.dot(np.zeros(2))", shape([3], [2])),
    ("df + np.zeros(3)", shape([2], [3])),
    ("df + np.zeros((4, 4))", shape([3, 2], [4, 4])),
    ("s == np.zeros(2)", shape()),
    ("s + np.zeros(4)", shape([3], [4])),
    ("df[[True, False]]", shape([3], [2])),
    ("s[[True, False]]", shape([3], [2])),
    ("pd.DataFrame([[1, 2, 3]], columns=['a', 'b'])", shape([2], [3])),
    ("pd.DataFrame(np.zeros((1, 2, 2)))", shape([None, None], [1, 2, 2])),
    ("pd.Series(np.zeros((2, 2)))", shape([None], [2, 2])),
    ("pd.Series([1, 2, 3], index=[1, 2])", shape([2], [3])),
    ("df.where(np.zeros((2, 2), bool))", shape()),
    ("df.merge(pd.DataFrame({'a': ['x', 'y']}), on='a')", dtype(operation="merge")),
    ("pd.Series(['a', 'b']).mean()", dtype(None)),
    ("pd.DataFrame({'k': [1], 'v': ['a']}).groupby('k').mean()", dtype(None)),
    ("s.iloc[0] = 1\ns = pd.Series([1, 2], dtype='Int64')\ns[0] = 'x'", dtype("Int64")),
]

_PANDAS_ALIKE = [
    "df['no such column']",
    "df.loc[17]",
    "s.iloc[9]",
    "df.merge(df, on='zz')",
    "pd.to_datetime('no date')",
    "pd.to_numeric(pd.Series(['a']))",
    "pd.Series([1.0, np.nan]).astype('int64')",
    "bool(s)",
    "df.set_index('a').join(df, how='sideways')",
    "pd.concat([])",
    "pd.Series(['a']).astype(int)",
    "s.str.upper()",
    "df.drop(columns=['zz'])",
    "pd.read_csv('/no/such/file.csv')",
    "pd.date_range('2024-01-01')",
]

_JAX_HEAD = "import jax.numpy as jnp\n"

_JAX = [
    ("a, b = jnp.zeros((2, 3)), jnp.zeros((4, 5))\na + b", shape([2, 3], [4, 5], operation="add")),
    ("jnp.zeros(2) * jnp.zeros(3)", shape([2], [3])),
    ("a, b = jnp.zeros((2, 3)), jnp.zeros((4, 5))\njnp.dot(a, b)", shape([2, 3], [4, 5], operation="dot")),
    ("a, b = jnp.zeros((2, 3)), jnp.zeros((4, 5))\na @ b", shape([2, 3], [4, 5], operation="matmul")),
    ("jnp.matmul(jnp.zeros((2, 3)), jnp.zeros((4, 5)))", shape()),
    ("jnp.zeros(6).reshape(4, 2)", shape([6], [4, 2], operation="reshape")),
    ("a = jnp.zeros((2, 3))\njnp.reshape(a, (5, 2))", shape([2, 3], [5, 2], operation="reshape")),
    ("a, b = jnp.zeros((2, 3)), jnp.zeros((2, 4))\njnp.concatenate([a, b])", shape([2, 3], [2, 4])),
    ("jnp.concatenate([jnp.zeros((2, 3)), jnp.zeros((2, 4))])", shape([2, 3], [2, 4])),
    ("jnp.concatenate([jnp.zeros((2, 3)), jnp.zeros(3)])", shape([2, 3], [3])),
    ("jnp.stack([jnp.zeros(2), jnp.zeros(3)])", shape()),
    ("jax.vmap(lambda a, b: a + b)(jnp.zeros((2, 3)), jnp.zeros((4, 3)))", shape([2], [4])),
    ("jnp.broadcast_to(jnp.zeros(3), (2, 4))", shape([3], [2, 4])),
    ("jax.lax.add(jnp.zeros(2), jnp.zeros(3))", shape([2], [3])),
    ("jnp.linalg.inv(jnp.zeros((2, 3)))", shape()),
    ("jnp.einsum('ij,jk->ik', jnp.zeros((2, 3)), jnp.zeros((4, 5)))", shape(operation="einsum")),
    ("jax.jit(lambda a, b: a @ b)(jnp.zeros((2, 3)), jnp.zeros((4, 5)))", shape()),
    ("jax.jit(lambda a, b: a - b)(jnp.zeros((2, 3)), jnp.zeros((4, 5)))", shape([2, 3], [4, 5])),
    ("a, b = jnp.zeros(2), jnp.zeros(2, 'int32')\njax.lax.add(a, b)", dtype("float32", "int32", operation="add")),
    ("jnp.zeros(3)[jnp.array([0.5])]", dtype(operation="index")),
    ("jax.grad(lambda a: a)(3)", dtype(None, "int32", operation="grad")),
    ("jax.lax.sin(jnp.array([1, 2]))", dtype(None, "int32", operation="sin")),
    ("jax.devices('gpu')", no_device("gpu")),
    ("jax.devices('tpu')", no_device("tpu")),
    ("jnp.zeros((10**7, 10**7)).block_until_ready()", memory(4 * 10**14)),
]

_JAX_ALIKE = [
    "jax.grad(lambda a: a)(jnp.zeros(3))",
    "jax.jit(lambda a: 1 if a > 0 else 2)(1.0)",
    "jnp.zeros(3)[0] = 1\n",
    "jnp.sum(jnp.zeros(3), axis=4)",
    "jnp.array(['a'])",
    "jax.random.normal(3)",
    "jnp.zeros(-1)",
    "float(jnp.zeros(3))",
]


def _cases() -> list[tuple[str, str, dict[str, Any] | None]]:
    cases: list[tuple[str, str, dict[str, Any] | None]] = []
    for library, head, wrong, alike in (
        ("numpy", "", _NUMPY, _NUMPY_ALIKE),
        ("torch", "", _TORCH, _TORCH_ALIKE),
        ("sklearn", _SKLEARN_HEAD, _SKLEARN, _SKLEARN_ALIKE),
        ("pandas", _PANDAS_HEAD, _PANDAS, _PANDAS_ALIKE),
        ("jax", _JAX_HEAD, _JAX, _JAX_ALIKE),
    ):
        cases += [(library, head + code, ml) for code, ml in wrong]
        cases += [(library, head + code, None) for code in alike]
    return cases


CASES = _cases()
